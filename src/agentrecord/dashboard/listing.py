"""What all lists have in common: the filter and its terms, the range, facets, columns, and where to go from there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agentrecord.codec.jsonable import to_json
from agentrecord.dashboard.filters import Asked, Range, with_changes
from agentrecord.dashboard.stretches import LIST_RANGES, Moves, moves_of
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.facet import Facets
from agentrecord.records.query import Query, Term, written
from agentrecord.store.words import Words

ROWS = 50
_KEPT = ("since", "from", "to", "sort", "cols")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that a list can show; `sort` is the order's name where there is one."""

    name: str
    title: str
    sort: str | None = None
    is_number: bool = False
    is_shown: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Words that lead somewhere, how many rows are there, and whether one is there already."""

    text: str
    address: str
    count: int | None = None
    is_chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetLinks:
    """A facet: the values of a word, each an address that adds it, or takes it away."""

    word: str
    values: Sequence[Link]
    others: int
    rows: int
    is_exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    """The frame of a list: what was asked for and where to go from there.

    `problem` says why there are no rows: the field that was not understood, and the reason. `completion` is JSON for
    the filter's script. Where the list `is_of_days`, its ranges are whole UTC days.
    """

    path: str
    values_path: str
    query: str
    terms: Sequence[Link]
    problem: tuple[str, str] | None
    stretch: Range
    is_of_days: bool
    ranges: Sequence[Link]
    moves: Moves
    facets: Sequence[FacetLinks]
    columns: Sequence[Column]
    choices: Sequence[tuple[Column, bool]]
    sort: str
    is_first: bool
    kept: Mapping[str, str]
    exports: Sequence[Link]
    completion: str
    is_filtered: bool


def folded(asked: Asked, words: Words, legacy: Mapping[str, str]) -> Asked:
    """Return an address whose single parameters (`user=bob`) have become terms of its filter (`user:bob`).

    `legacy` maps parameters to words. A filter that cannot be understood stays as it is.
    """
    found = [(word, asked[name]) for name, word in legacy.items() if name in asked]
    rest = {name: value for name, value in asked.items() if name not in legacy}
    added = " ".join(str(Term(word=word, values=(written(value),))) for word, value in found)
    text = " ".join(part for part in (rest.pop("q", ""), added) if part)
    return {"q": text, **rest} if text else rest


def understood(words: Words, asked: Asked) -> Query:
    """Return the filter of an address; raise `InvalidFilter` for what cannot be understood."""
    return words.parse(asked.get("q", ""))


def columns_of(asked: Asked, known: Sequence[Column]) -> Sequence[Column]:
    """Return the columns that `cols` names, in the list's own order; raise `InvalidFilter` for unknown ones."""
    wanted = [name for name in asked.get("cols", "").split(",") if name]
    names = [column.name for column in known]
    for name in wanted:
        if name not in names:
            raise InvalidFilter("cols", name, f"is no column; there are {', '.join(names)}")
    # The first column names the row and leads to it.
    return [c for place, c in enumerate(known) if (c.name in wanted if wanted else c.is_shown) or place == 0]


def sort_of(asked: Asked, default: str, known: Sequence[str]) -> str:
    """Return the order that is asked for; raise `InvalidFilter` for an unknown one."""
    sort = asked.get("sort", default)
    if sort.removeprefix("-") not in known:
        raise InvalidFilter("sort", sort, f"must be one of {', '.join(known)}, with - before it for descending")
    return sort


def frame(
    path: str, asked: Asked, now: datetime, *, api: str, words: Words, stretch: Range, known: Sequence[Column],
    default_sort: str, ranges: Sequence[str] = LIST_RANGES, is_of_days: bool = False,
) -> ListView:  # fmt: skip
    """Return the frame of a list whose filter may still turn out not to be understood; `api` is the list's in REST."""
    kept = {name: asked[name] for name in _KEPT if name in asked}
    range_links = [
        Link(
            text=name,
            address=with_changes(asked, since=name, after=None, **{"from": None, "to": None}),
            is_chosen=stretch.name == name,
        )
        for name in ranges
    ]
    exports = [
        Link(text=shape.upper(), address=f"{path}.{shape}{with_changes(asked, after=None, cols=None)}")
        for shape in ("csv", "json", "jsonl")
    ]
    return ListView(
        path=path, values_path=f"{api}/values", query=asked.get("q", ""), terms=(), problem=None,
        stretch=stretch, is_of_days=is_of_days, ranges=range_links, moves=moves_of(asked, stretch, now), facets=(),
        columns=[column for column in known if column.is_shown], choices=[(c, c.is_shown) for c in known],
        sort=asked.get("sort", default_sort), is_first="after" not in asked, kept=kept, exports=exports,
        completion=completion_of(words), is_filtered="q" in asked,
    )  # fmt: skip


def completion_of(words: Words) -> str:
    """Return the words of a filter as JSON for its script."""
    return to_json(
        [
            {"name": word.name, "help": word.help, "example": word.example, "choices": list(word.choices)}
            for word in words.known.values()
        ]
    ).decode()


def refused(view: ListView, error: InvalidFilter) -> ListView:
    """Return the frame of a list that shows no rows and says why."""
    return replace(view, problem=(error.field, error.reason))


def filled(view: ListView, asked: Asked, query: Query, facets: Facets, shown: Sequence[Column]) -> ListView:
    """Return the frame with the filter's terms, each to be dropped, and its facets."""
    names = {column.name for column in shown}
    return replace(
        view,
        terms=[
            Link(text=str(term), address=with_changes(asked, q=str(query.without(place)) or None, after=None))
            for place, term in enumerate(query.terms)
        ],
        facets=_facet_links(asked, query, facets),
        columns=shown,
        choices=[(column, column.name in names) for column, _ in view.choices],
    )


def _facet_links(asked: Asked, query: Query, facets: Facets) -> Sequence[FacetLinks]:
    found = []
    for facet in facets.facets:
        links = []
        for value in facet.values:
            more = query.adding(facet.word, value.value)
            term = Term(word=facet.word, values=(written(value.value),))
            is_chosen = term in query.terms
            text = str(query.without(query.terms.index(term))) if is_chosen else str(more)
            links.append(
                Link(
                    text=value.value,
                    address=with_changes(asked, q=text or None, after=None),
                    count=value.count,
                    is_chosen=is_chosen,
                )
            )
        found.append(
            FacetLinks(word=facet.word, values=links, others=facet.others, rows=facet.rows, is_exact=facet.is_exact)
        )
    return found
