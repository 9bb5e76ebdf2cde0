"""Pieces of a run that belong together: what was tried again, what went on side by side, what came in a row."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from uuid import UUID

from agentrecord.records.run_tree import RunSpan, SpanKind

MANY = 3
"""From so many on, uses of one tool in a row are a group; tries, and what overlaps, are one from two on."""


class Together(StrEnum):
    """Why pieces are a group."""

    TRIES = "tried again"
    PARALLEL = "in parallel"
    ROW = "in a row"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanGroup:
    """Pieces of one kind and name that follow one another below the same piece.

    `first` and `end` are the places, among the pieces that were grouped, where it begins and where what comes after it
    begins; `members` are the pieces themselves, without those below them, and `failed` counts them. `span` is all of
    it as one piece, under the id of the first: from the earliest start to the latest end, with the sums of figures.
    """

    span: RunSpan
    together: Together
    members: tuple[RunSpan, ...]
    failed: int
    first: int
    end: int

    @property
    def count(self) -> int:
        """How many pieces it has."""
        return len(self.members)


def grouped(spans: Sequence[RunSpan], ends: Sequence[int] | None = None) -> dict[int, SpanGroup]:
    """Return the groups among pieces in the order of a tree, by the places where they begin.

    Groups may stand within groups, below their members. Phases are never grouped: they hold what they are named for.
    `ends` is what `ends_of` tells of the pieces, where that is known.
    """
    ends = ends_of(spans) if ends is None else ends
    siblings: defaultdict[UUID | None, list[int]] = defaultdict(list)
    for place, span in enumerate(spans):
        siblings[span.parent].append(place)
    found = (
        _group(spans, run, ends)
        for places in siblings.values()
        if len(places) > 1
        for run in _alike(spans, places, ends)
    )
    return {group.first: group for group in found if group is not None}


def ends_of(spans: Sequence[RunSpan]) -> list[int]:
    """Return for each piece in the order of a tree where what stands below it ends."""
    ends = [len(spans)] * len(spans)
    above: list[int] = []
    for place, span in enumerate(spans):
        while above and spans[above[-1]].depth >= span.depth:
            ends[above.pop()] = place
        above.append(place)
    return ends


def _alike(spans: Sequence[RunSpan], places: Sequence[int], ends: Sequence[int]) -> Iterator[list[int]]:
    """Yield two and more siblings of one kind and name that follow one another with nothing between them."""
    found = [places[0]]
    for place in places[1:]:
        last, span = spans[found[-1]], spans[place]
        is_alike = last.name == span.name and last.kind is span.kind and last.is_detached is span.is_detached
        is_alike = is_alike and ends[found[-1]] == place
        if is_alike and _belongs(spans, found, place):
            found.append(place)
            continue
        if len(found) > 1:
            yield found
        found = [place]
    if len(found) > 1:
        yield found


def _belongs(spans: Sequence[RunSpan], found: Sequence[int], place: int) -> bool:
    """Say whether a piece belongs to those of its kind and name before it.

    A call to a model that came after another is the next step, unless that one failed or was still going on.
    """
    last, span = spans[found[-1]], spans[place]
    if span.kind is SpanKind.PHASE:
        return False
    return span.kind is SpanKind.TOOL or last.is_failed or any(_overlap(spans[other], span) for other in found)


def _overlap(one: RunSpan, other: RunSpan) -> bool:
    """Say whether the later of two began before the earlier was over."""
    if one.started_at is None or other.started_at is None:
        return False
    if one.ended_at is None:
        return one.is_running
    return one.started_at <= other.started_at < one.ended_at


def _group(spans: Sequence[RunSpan], places: Sequence[int], ends: Sequence[int]) -> SpanGroup | None:
    members = tuple(spans[place] for place in places)
    failed = sum(member.is_failed for member in members)
    together = Together.ROW
    if any(_overlap(one, other) for one, other in pairwise(members)):
        together = Together.PARALLEL
    elif all(member.is_failed for member in members[:-1]):
        together = Together.TRIES
    if together is Together.ROW and len(members) < MANY:
        return None
    return SpanGroup(
        span=_whole(members, failed), together=together, members=members, failed=failed, first=places[0],
        end=ends[places[-1]],
    )  # fmt: skip


def _whole(members: Sequence[RunSpan], failed: int) -> RunSpan:
    first = members[0]
    starts = [member.started_at for member in members if member.started_at is not None]
    stops = [member.ended_at for member in members if member.ended_at is not None]
    start, stop = min(starts, default=None), max(stops, default=None)
    tokens = [member.tokens for member in members if member.tokens is not None]
    costs = [member.cost_nanos for member in members if member.cost_nanos is not None]
    is_running = any(member.is_running for member in members)
    is_timed = start is not None and stop is not None and not is_running
    return RunSpan(
        id=first.id,
        kind=first.kind,
        name=first.name,
        depth=first.depth,
        parent=first.parent,
        started_at=start,
        duration_ms=round((stop - start).total_seconds() * 1000) if is_timed and start and stop else None,
        status=members[-1].status,
        is_failed=failed == len(members),
        is_running=is_running,
        is_detached=first.is_detached,
        detached_from=first.detached_from,
        calls=sum(member.calls for member in members),
        unpriced_calls=sum(member.unpriced_calls for member in members),
        tokens=sum(tokens) if tokens else None,
        cost_nanos=sum(costs) if costs else None,
    )
