"""All that leaves a record in one order: units one after the other, their facts as spans, then their spans as sent.

The pages are asked for by whoever has the store, blocking or awaited; which comes next is decided here.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from agentrecord.ingest.otlp_carried import span_of
from agentrecord.records.exchange import ExportFilter, FactPage, Mark, Unit, UnitKind
from agentrecord.records.span import Span
from agentrecord.store import AsyncStore, Store

PAGE = 1000
UNITS = 100


@dataclass(frozen=True, slots=True)
class Leaving:
    """Some spans, and after how many units they come."""

    spans: tuple[Span, ...]
    units: int


def leaving(store: Store, where: ExportFilter) -> Iterator[Leaving]:
    """Yield what leaves, page by page."""
    now, last, done = store.engine.maker.clock.now(), None, 0
    while units := store.exchange.units(where, after=last, limit=UNITS):
        for unit in units:
            mark: Mark | None = None
            while True:
                page = store.exchange.facts(unit, where, after=mark, limit=PAGE)
                yield Leaving(_spans(page, now), done)
                if (mark := page.following) is None:
                    break
            after: Span | None = None
            while _has_spans(unit):
                spans = store.traces.spans(session=_session(unit), run=_run(unit), after=after, limit=PAGE)
                yield Leaving(spans, done)
                if len(spans) < PAGE:
                    break
                after = spans[-1]
            done += 1
        last = units[-1]


async def aleaving(store: AsyncStore, where: ExportFilter) -> AsyncIterator[Leaving]:
    """As `leaving`, awaited."""
    now, last, done = store.engine.maker.clock.now(), None, 0
    while units := await store.exchange.units(where, after=last, limit=UNITS):
        for unit in units:
            mark: Mark | None = None
            while True:
                page = await store.exchange.facts(unit, where, after=mark, limit=PAGE)
                yield Leaving(_spans(page, now), done)
                if (mark := page.following) is None:
                    break
            after: Span | None = None
            while _has_spans(unit):
                spans = await store.traces.spans(session=_session(unit), run=_run(unit), after=after, limit=PAGE)
                yield Leaving(spans, done)
                if len(spans) < PAGE:
                    break
                after = spans[-1]
            done += 1
        last = units[-1]


def _spans(page: FactPage, now: datetime) -> tuple[Span, ...]:
    return tuple(span_of(placed, now=now) for placed in page.facts)


def _has_spans(unit: Unit) -> bool:
    return unit.kind is not UnitKind.LOOSE


def _session(unit: Unit) -> UUID | None:
    return unit.id if unit.kind is UnitKind.SESSION else None


def _run(unit: Unit) -> UUID | None:
    return unit.id if unit.kind is UnitKind.RUN else None
