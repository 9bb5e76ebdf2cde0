"""The search over everything: what the palette shows while one types, and the page that shows the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from agentrecord.dashboard.filters import Asked, whole_number
from agentrecord.dashboard.formats import one_line, segment
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.found import Found, FoundKind
from agentrecord.records.message import SearchHit
from agentrecord.records.page import Page
from agentrecord.records.query import Query, Value
from agentrecord.store import AsyncStore

HITS = 20
PAGES = (
    ("Overview", "/"),
    ("Chat", "/chat"),
    ("Sessions", "/sessions"),
    ("Runs", "/runs"),
    ("Cost", "/cost"),
    ("Agents", "/agents"),
    ("Users", "/users"),
    ("Errors", "/errors"),
    ("Settings", "/settings"),
    ("Prices", "/prices"),
    ("Imports", "/imports"),
    ("SQL", "/sql"),
    ("Keys", "/settings/keys"),
    ("People", "/settings/people"),
    ("Password", "/settings/password"),
)
_TITLES = {
    "session": "Sessions",
    "run": "Runs",
    "call": "LLM calls",
    "trace": "Traces",
    "user": "Users",
    "agent": "Agents",
    "model": "Models",
    "tool": "Tools",
    "error": "Errors",
    "page": "Pages",
    "message": "Messages",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Something that was found: what it is, what it is called, what else tells it apart, and where it is shown."""

    kind: str
    name: str
    detail: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HitGroup:
    """The hits of one kind, under a title."""

    title: str
    hits: Sequence[Hit]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """What was found, by kind, and a page of the messages that match; `refused` says why none could be looked for."""

    query: str
    groups: Sequence[HitGroup]
    found: Page[SearchHit] | None
    page: int
    refused: str = ""

    @property
    def words(self) -> str:
        """The query as the filter of a list, which looks through all rows: each of its words as text."""
        return " ".join(str(Value(text=word, is_quoted=True)) for word in self.query.replace('"', " ").split())


async def hits(store: AsyncStore, query: str, *, limit: int = 5) -> list[Hit]:
    """Return what a query may mean: ids and names first, then pages, then what holds its words."""
    found = await store.pages.find(query, limit=limit)
    named = [_hit(one) for one in found if one.is_named]
    return [*named, *_pages(query)[:limit], *[_hit(one) for one in found if not one.is_named]]


async def search_page(store: AsyncStore, asked: Asked) -> SearchPage:
    """Return everything that a query may mean, and a page of the messages that hold its words."""
    query, page = asked.get("q", ""), whole_number(asked, "page", 1)
    if not query:
        return SearchPage(query="", groups=(), found=None, page=1)
    others = [hit for hit in await hits(store, query) if hit.kind != "message"] if page == 1 else []
    # Typed ids lead to messages too, which words do not find.
    others += [_hit(one) for one in await store.pages.find(query) if _is_by_id(one)] if page == 1 else []
    found, refused = None, ""
    try:
        found = await store.messages.search(query, limit=HITS, offset=(page - 1) * HITS)
    except InvalidFilter as error:
        if error.field != "q":
            raise
        refused = error.reason
    return SearchPage(query=query, groups=grouped(others), found=found, page=page, refused=refused)


def grouped(found: Sequence[Hit]) -> list[HitGroup]:
    """Return hits by kind, in the order in which the kinds come."""
    kinds = dict.fromkeys(hit.kind for hit in found)
    return [HitGroup(title=_TITLES[kind], hits=[hit for hit in found if hit.kind == kind]) for kind in kinds]


def _is_by_id(one: Found) -> bool:
    return one.kind is FoundKind.MESSAGE and not one.excerpt


def _pages(query: str) -> list[Hit]:
    typed = query.lower()
    return [Hit(kind="page", name=name, detail="page", path=path) for name, path in PAGES if _means(name, typed)]


def _means(name: str, typed: str) -> bool:
    return name.lower().startswith(typed)


def _hit(one: Found) -> Hit:
    name, detail = one.name, "".join(one.excerpt) if one.excerpt else one.detail
    if one.kind in (FoundKind.SESSION, FoundKind.RUN) and detail:
        # What it is about says more than its id.
        name, detail = detail, name
    return Hit(kind=one.kind, name=one_line(name, 120), detail=one_line(detail, 160), path=path_of(one))


def path_of(one: Found) -> str:
    """Return where a row is shown."""
    match one.kind:
        case FoundKind.SESSION:
            return f"/s/{one.id}"
        case FoundKind.RUN:
            return f"/r/{one.id}"
        case FoundKind.CALL:
            return f"/r/{one.run}?span={one.id}#detail" if one.run else f"/api/llm-calls/{one.id}"
        case FoundKind.TRACE:
            return f"/r/{one.run}" if one.run else f"/runs?q={segment(one.name)}"
        case FoundKind.USER:
            return f"/u/{segment(one.name)}"
        case FoundKind.AGENT:
            return f"/agents/{segment(one.name)}"
        case FoundKind.MODEL | FoundKind.TOOL:
            return f"/runs?q={quote(str(Query().adding(one.kind, one.name)), safe='')}"
        case FoundKind.ERROR:
            return f"/errors/{segment(one.key)}"
        case FoundKind.MESSAGE:
            return f"/m/{one.id}"
