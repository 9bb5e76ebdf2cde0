"""How every list comes to be: its address is read, understood or refused, and told by a page, sums and facets."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar  # `Any`: a page's parts are of many types

from agentrecord.dashboard.filters import Asked, Range
from agentrecord.dashboard.listing import (
    ROWS,
    Column,
    ListView,
    columns_of,
    filled,
    folded,
    frame,
    refused,
    sort_of,
    understood,
)
from agentrecord.dashboard.stretches import DEFAULT, LIST_RANGES, stretch_of
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.facet import Facets
from agentrecord.records.page import COUNT_LIMIT, Page
from agentrecord.store import AsyncStore
from agentrecord.store.words import Words

T = TypeVar("T")
S = TypeVar("S")


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads(Generic[T, S]):
    """What a list is read with, once it is known which rows are wanted; `page` takes order, limit and cursor.

    `sums_of` adds up rows, where a page that holds all of them need not ask for the sums; `count_of` says how many rows
    the sums are of, where no page counts them. `more` reads what else the page tells of the whole filter.
    """

    page: Callable[[str, int, str | None], Awaitable[Page[T]]]
    sums: Callable[[], Awaitable[S]]
    facets: Callable[[], Awaitable[Facets]]
    sums_of: Callable[[Sequence[T]], S] | None = None
    count_of: Callable[[S], int] | None = None
    more: Callable[[], Awaitable[Any]] = _nothing

    async def summed(self, page: Awaitable[Page[T]], *, is_first: bool) -> tuple[Page[T], S]:
        """Return a page, and the sums over the whole filter."""
        if self.sums_of is None or not is_first:
            found, sums = await asyncio.gather(page, self.sums())
            if self.count_of is not None:
                count = self.count_of(sums)
                found = replace(found, total=min(count, COUNT_LIMIT), total_is_exact=count <= COUNT_LIMIT)
            return found, sums
        found = await page
        return found, self.sums_of(found.items) if found.next_cursor is None else await self.sums()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[T, S]):
    """A list: its address, its words, columns and orders, and how it is read for a filter and a range.

    `legacy` maps single parameters of its address to words of its filter, `kept` are those that mean something else.
    `steady` is the order of exports where none is asked for: one that nothing changes while rows are written. `is_new`
    says whether anything that it would show has happened since an instant. `whole` is a day, where figures are of
    whole days.
    """

    path: str
    api: str
    words: Words
    columns: Sequence[Column]
    sort: str
    sorts: Sequence[str]
    steady: str
    reads: Callable[[AsyncStore, str | None, Range], Reads[T, S]]
    is_new: Callable[[AsyncStore, datetime], Awaitable[bool]]
    legacy: Mapping[str, str]
    kept: tuple[str, ...] = ()
    whole: timedelta | None = None
    ranges: tuple[str, ...] = LIST_RANGES

    async def stretch(self, store: AsyncStore, asked: Asked, now: datetime) -> Range:
        """Return the range that is asked for: else a week, or everything where the last week would show nothing."""
        default = DEFAULT
        if not any(name in asked for name in ("since", "from", "to")):
            week = stretch_of({}, now, whole=self.whole)
            default = DEFAULT if week.since is not None and await self.is_new(store, week.since) else "all"
        return stretch_of(asked, now, default=default, whole=self.whole)

    def folded(self, asked: Asked) -> Asked:
        """Return an address with its single parameters in its filter."""
        return folded(asked, self.words, self.legacy)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage(Generic[T, S]):
    """A page of a list: `asked` is its address as it was understood, `sums` are those over the whole filter.

    A filter that was not understood finds nothing and has no sums. `before` counts what the filter finds outside of a
    range in which it finds nothing. `more` is what `Reads.more` found.
    """

    asked: Asked
    view: ListView
    found: Page[T]
    sums: S | None
    before: int | None = None
    is_empty: bool = False
    more: Any = None

    def parts(self) -> dict[str, Any]:
        """Return all of it by name, for a page that tells more."""
        return {one.name: getattr(self, one.name) for one in fields(ListPage)}


async def list_page(kind: Kind[T, S], store: AsyncStore, given: Asked, now: datetime) -> ListPage[T, S]:
    """Return a page of a list with all that is told about the whole filter."""
    asked = kind.folded(given)
    stretch = await kind.stretch(store, asked, now)
    view = frame(
        kind.path, asked, now, api=kind.api, words=kind.words, stretch=stretch, known=kind.columns,
        default_sort=kind.sort, ranges=kind.ranges, is_of_days=kind.whole is not None,
    )  # fmt: skip
    reads = kind.reads(store, asked.get("q"), stretch)
    try:
        query = understood(kind.words, asked)
        shown = columns_of(asked, kind.columns)
        sort = sort_of(asked, kind.sort, kind.sorts)
        page = reads.page(sort, ROWS, asked.get("after"))
        (found, sums), facets, more = await asyncio.gather(
            reads.summed(page, is_first=view.is_first), reads.facets(), reads.more()
        )
    except InvalidFilter as error:
        return ListPage(asked=asked, view=refused(view, error), found=Page([], ROWS, total=0), sums=None)
    before = None
    if not found.items and stretch.name != "all":
        ever = kind.reads(store, asked.get("q"), Range(name="all"))
        before = (await ever.summed(ever.page(kind.sort, 1, None), is_first=False))[0].total
    return ListPage(
        asked=asked, view=filled(view, asked, query, facets, shown), found=found, sums=sums, before=before,
        is_empty=not found.items and stretch.name == "all" and not query.terms, more=more,
    )  # fmt: skip
