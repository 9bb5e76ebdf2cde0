"""Relations: typed edges between any two facts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class RelationKind(StrEnum):
    """How one fact stands to another; adapters may add kinds of their own as open text."""

    CONTINUES = "continues"
    CAUSED = "caused"
    USED = "used"
    FORKED_FROM = "forked_from"
    SUMMARIZES = "summarizes"
    MENTIONS = "mentions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """An edge from one row to another; the kinds of row are table names without their prefix."""

    id: UUID
    kind: str
    from_kind: str
    from_uuid: UUID
    to_kind: str
    to_uuid: UUID
    metadata: str | None = None
    created_at: datetime
