"""What a search over everything finds: a row of any kind, by its id, its name, or its words."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class FoundKind(StrEnum):
    """What was found, in the order in which it is told."""

    SESSION = "session"
    RUN = "run"
    CALL = "call"
    TRACE = "trace"
    USER = "user"
    AGENT = "agent"
    MODEL = "model"
    TOOL = "tool"
    ERROR = "error"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A row: `name` is what it is called, `detail` what else tells it apart.

    `key` is the name in its address, where that is another: a group of errors' fingerprint. `run` is the run in which a
    call or trace is, `excerpt` alternates plain and matching text of a message. `is_named` says that its id or name
    begins with what was looked for, so that it is likely meant.
    """

    kind: FoundKind
    id: UUID
    name: str
    detail: str | None = None
    key: str | None = None
    run: UUID | None = None
    excerpt: tuple[str, ...] = ()
    is_named: bool = False
