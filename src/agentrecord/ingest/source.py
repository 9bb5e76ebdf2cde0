"""What a source of transcripts has to offer, and the parts that sources share."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from agentrecord.exceptions import InvalidValue
from agentrecord.ingest.facts import Fact

MAX_TOKENS = 1_000_000_000
"""More tokens than any one call can have: a larger number is a mistake of whoever wrote it."""


class Reader(Protocol):
    """Reads one transcript from where it last stopped, keeping its state between calls."""

    latest: datetime
    """What is dated after this cannot be right; moved on while a transcript is watched."""

    def read(self) -> Iterator[Fact]:
        """Yield the facts that came since the last call."""
        ...

    @property
    def position(self) -> int:
        """Bytes read so far, for progress bars."""
        ...


class Source(Protocol):
    """A tool whose transcripts can be imported."""

    name: str
    """As in `agentrecord import NAME`."""
    title: str
    """The tool's own name."""

    def roots(self, environment: Mapping[str, str], home: Path) -> Iterable[Path]:
        """Name the places where this tool keeps its transcripts, overrides by `environment` first."""
        ...

    def files(self, path: Path) -> Iterator[Path]:
        """Yield the transcripts at or below `path`, in an order that does not change."""
        ...

    def open(self, path: Path, *, latest: datetime) -> Reader:
        """Start reading one transcript; what is dated after `latest` cannot be right and is unreadable."""
        ...


def parse_time(text: str) -> datetime:
    """Return the instant that ISO-8601 `text` names, in UTC; without an offset it is taken as UTC.

    Raises ValueError if it names none.
    """
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is UTC:
            return found
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is not a time; write it as in 2026-01-31T12:00:00Z") from None


def checked_tokens(name: str, value: object) -> int:
    """Return `value` if it can be a number of tokens; raise a ValueError that names the field if not."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
        return value
    shown = repr(value)[:40]
    raise ValueError(f"{name} is {shown}, which is no number of tokens (0 to {MAX_TOKENS:,})")


def walk(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield `path` itself if it is a file, else all files below it that end in one of `suffixes`, sorted by name."""
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        raise InvalidValue("path", str(path), "there is no such file or folder; name a transcript or a folder of them")
    found = (file for file in path.rglob("*") if file.name.endswith(suffixes) and file.is_file())
    yield from sorted(found, key=Path.as_posix)
