"""The rows that a waterfall's pieces take: each its own, or one for a group of them, or for all that is folded."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from agentrecord.dashboard import formats
from agentrecord.dashboard.filters import Asked
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.run_tree import RunSpan
from agentrecord.records.span_groups import SpanGroup, ends_of, grouped

MOST_OPEN = 50
ALL = "all"
"""What an address names to have folded whatever holds something, but for the whole; what it names then is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """Which pieces are folded, so that nothing below them is shown: those with `ids`, or with `is_all` all others."""

    ids: tuple[UUID, ...] = ()
    is_all: bool = False

    def holds(self, span: RunSpan) -> bool:
        """Say whether a piece is folded."""
        return (span.id in self.ids) is not self._is_usual(span)

    def _is_usual(self, span: RunSpan) -> bool:
        return self.is_all and span.depth > 0

    def without(self, span: RunSpan, *, is_folded: bool) -> str | None:
        """Return what an address names once a piece that is folded no longer is, or the other way round."""
        ids = [one for one in self.ids if one != span.id]
        if is_folded is self._is_usual(span):
            # So many as an address may name: the first that was named gives way.
            ids = [*ids[1 - MOST_OPEN :], span.id]
        return ",".join([*[ALL] * self.is_all, *map(str, ids)]) or None


NO_FOLDS = Folds()
"""Nothing is folded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A piece, or a group as one; `place` is where it is among the pieces, `depth` how far in it is drawn.

    `end` is where what is below it ends; nothing of that is shown where it `is_folded`.
    """

    span: RunSpan
    place: int
    depth: int
    end: int
    group: SpanGroup | None = None
    is_open: bool = False
    is_folded: bool = False

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

    @property
    def below(self) -> int:
        """How many pieces are below a piece; none are below a group, which has them itself."""
        return 0 if self.group is not None else self.end - self.place - 1

    def holds(self, place: int | None) -> bool:
        """Say whether this row stands for the piece at a place: it is that one, or it is folded around it."""
        if place is None or (self.group is None and not self.is_folded):
            return place == self.place
        return not self.is_open and self.place <= place < self.end

    def keeps_open(self, place: int | None) -> bool:
        """Say whether this piece is around the one at a place, and not folded for that reason alone."""
        return place is not None and not self.is_folded and self.place < place < self.end


def opened(asked: Asked) -> frozenset[UUID]:
    """Return the groups that an address has open, by the ids of their first pieces."""
    return frozenset(_named(asked, "open", asked.get("open", "").split(","), "group"))


def folds_of(asked: Asked) -> Folds:
    """Return which pieces an address has folded."""
    names = asked.get("fold", "").split(",")
    return Folds(ids=_named(asked, "fold", [name for name in names if name != ALL], "piece"), is_all=ALL in names)


def _named(asked: Asked, word: str, given: Sequence[str], kind: str) -> tuple[UUID, ...]:
    names = [name for name in given if name]
    if len(names) > MOST_OPEN:
        raise InvalidFilter(word, asked[word], f"names {len(names)} {kind}s; name at most {MOST_OPEN}")
    try:
        return tuple(dict.fromkeys(map(UUID, names)))
    except ValueError:
        raise InvalidFilter(word, asked[word], f"is no {kind} of this run; leave it out") from None


def items_of(
    spans: Sequence[RunSpan],
    *,
    are_grouped: bool,
    is_open: Collection[UUID],
    folds: Folds = NO_FOLDS,
    shown: UUID | None,
) -> Sequence[Item]:
    """Return the rows of pieces in the order of a tree; what is around the piece `shown` is open too."""
    ends = ends_of(spans)
    groups = grouped(spans, ends) if are_grouped else {}
    known = None if shown is None else place_of(spans, shown)
    wanted = -1 if known is None else known
    found: list[Item] = []
    inside: list[int] = []
    place = 0
    while place < len(spans):
        while inside and inside[-1] <= place:
            inside.pop()
        span, group, end = spans[place], groups.get(place), ends[place]
        depth = span.depth + len(inside)
        if group is not None:
            unfolds = group.span.id in is_open or group.first <= wanted < group.end
            found.append(Item(span=group.span, place=place, depth=depth, end=group.end, group=group, is_open=unfolds))
            if not unfolds:
                place = group.end
                continue
            inside.append(group.end)
            depth += 1
        is_folded = end > place + 1 and folds.holds(span) and not place < wanted < end
        found.append(Item(span=span, place=place, depth=depth, end=end, is_folded=is_folded))
        place = end if is_folded else place + 1
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


def folded(item: Item, folds: Folds, chosen: int | None) -> Mapping[str, str | None]:
    """Return the changes of the address that fold a piece, or show again what is below it."""
    changes = {"fold": folds.without(item.span, is_folded=item.is_folded)}
    # What was chosen in it would keep it open: it is chosen itself, so that what it is in stays open.
    return {**changes, "span": str(item.span.id)} if item.keeps_open(chosen) else changes
