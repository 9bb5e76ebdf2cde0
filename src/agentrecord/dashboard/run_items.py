"""The rows that a waterfall's pieces take: each its own, or one for a group of them that is folded."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from agentrecord.dashboard import formats
from agentrecord.dashboard.filters import Asked
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.run_tree import RunSpan
from agentrecord.records.span_groups import SpanGroup, grouped

MOST_OPEN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A piece, or a group as one; `place` is where it is among the pieces, `depth` how far in it is drawn."""

    span: RunSpan
    place: int
    depth: int
    group: SpanGroup | None = None
    is_open: bool = False

    @property
    def name(self) -> str:
        """What it is called: a group by how many there are of what."""
        name = formats.one_line(self.span.name, 120)
        return name if self.group is None else f"{name} ×{self.group.count:,}"

    @property
    def said(self) -> str:
        """What makes a group one, and how many of it failed; nothing of a piece."""
        if self.group is None:
            return ""
        failed = f"{self.group.failed:,} failed, " if self.group.failed else ""
        return f"{failed}{self.group.together}"

    def holds(self, place: int | None) -> bool:
        """Say whether this row stands for the piece at a place: it is that one, or it is folded around it."""
        if place is None or self.group is None:
            return place == self.place
        return not self.is_open and self.group.first <= place < self.group.end


def opened(asked: Asked) -> frozenset[UUID]:
    """Return the groups that an address has open, by the ids of their first pieces."""
    names = [name for name in asked.get("open", "").split(",") if name]
    if len(names) > MOST_OPEN:
        raise InvalidFilter("open", asked["open"], f"names {len(names)} groups; name at most {MOST_OPEN}")
    try:
        return frozenset(UUID(name) for name in names)
    except ValueError:
        raise InvalidFilter("open", asked["open"], "is no group of this run; leave it out") from None


def items_of(
    spans: Sequence[RunSpan], *, are_grouped: bool, is_open: Collection[UUID], shown: UUID | None
) -> Sequence[Item]:
    """Return the rows of pieces in the order of a tree; the groups around the piece `shown` are open too."""
    groups = grouped(spans) if are_grouped else {}
    wanted = None if shown is None else place_of(spans, shown)
    found: list[Item] = []
    inside: list[int] = []
    place = 0
    while place < len(spans):
        while inside and inside[-1] <= place:
            inside.pop()
        span, group = spans[place], groups.get(place)
        if group is not None:
            unfolds = group.span.id in is_open or (wanted is not None and group.first <= wanted < group.end)
            depth = span.depth + len(inside)
            found.append(Item(span=group.span, place=place, depth=depth, group=group, is_open=unfolds))
            if not unfolds:
                place = group.end
                continue
            inside.append(group.end)
        found.append(Item(span=span, place=place, depth=span.depth + len(inside)))
        place += 1
    return found


def place_of(spans: Sequence[RunSpan], wanted: UUID) -> int | None:
    """Return where a piece is; None if it is not there."""
    return next((place for place, span in enumerate(spans) if span.id == wanted), None)


def toggled(item: Item, is_open: Collection[UUID]) -> Mapping[str, str | None]:
    """Return the changes of the address that open a group, or fold it."""
    own = item.span.id
    ids = {one for one in is_open if one != own} | (set() if item.is_open else {own})
    changes: dict[str, str | None] = {"open": ",".join(sorted(map(str, ids))) or None}
    # What was chosen in it would keep it open.
    return {**changes, "span": None} if item.is_open else changes
