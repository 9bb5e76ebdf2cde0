"""Which project is looked at: the one that an address names, or that the browser of this computer remembers.

An account, a key and a token belong to one project: for them every other is as if it were not there.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from typing import Any  # `Any`: an ASGI scope
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlsplit, urlunsplit

from starlette.requests import cookie_parser
from starlette.responses import Response

from agentrecord.exceptions import InvalidValue, NotFound
from agentrecord.records.page import MAX_PAGE
from agentrecord.server.cookies import cookie_name
from agentrecord.server.identity import Identity, IdentityKind
from agentrecord.store import AsyncStore

PARAMETER = "project"
DEFAULT_NAME = "default"
REMEMBERED_S = 365 * 24 * 3600


def taken_off(scope: MutableMapping[str, Any]) -> str | None:
    """Take the project's name off a request's address, so that no route need know it; None if there is none."""
    given: bytes = scope["query_string"]
    if PARAMETER.encode() not in given:
        return None
    kept, named = [], None
    for part in given.split(b"&"):
        if unquote_plus(part.partition(b"=")[0].decode("latin-1")) == PARAMETER:
            pairs = parse_qsl(part.decode("latin-1"))
            named = pairs[0][1] if pairs else named
        else:
            kept.append(part)
    scope["query_string"] = b"&".join(kept)
    return named or None


def remembered(headers: Mapping[str, str], secret: bytes) -> str | None:
    """Return the project that a browser remembers; None if it was never told one."""
    found = cookie_parser(headers.get("cookie", "")).get(_cookie(secret))
    return unquote(found) if found else None


def remember(response: Response, secret: bytes, name: str) -> None:
    """Let a browser remember a project."""
    response.set_cookie(_cookie(secret), quote(name, safe=""), max_age=REMEMBERED_S, samesite="strict", httponly=True)


def _cookie(secret: bytes) -> str:
    # Cookies do not tell apart the ports of one computer, on which other records may have other projects.
    return f"{cookie_name(secret)}-{PARAMETER}"


async def in_project(
    who: Identity, whole: AsyncStore, named: str | None, known: str | None, *, is_page: bool
) -> Identity:
    """Return who asks in the project that the address names, or that the browser knows, else in their own.

    `whole` is the record as the server sees it; pages are told which projects there are to choose from. Raises
    `NotFound` for a named project that they do not see, whether or not there is one.
    """
    if who.kind is not IdentityKind.LINK or who.store.scope.user is not None:
        if named is not None and named != await _own_name(who):
            raise NotFound(PARAMETER, named)
        return who
    if named is None and known is None and not is_page:
        return who
    moved = await _moved(who, whole, named, known)
    return await _shown(moved, whole) if is_page else moved


async def _moved(who: Identity, whole: AsyncStore, named: str | None, known: str | None) -> Identity:
    wanted = named or known
    try:
        found = None if wanted is None else await whole.projects.find(wanted)
    except InvalidValue:
        if named is not None:
            raise
        # Whoever forged the cookie, or another program on this computer, must not shut every page.
        found = None
    if found is None and named is not None and named != await _own_name(who):
        raise NotFound(PARAMETER, named)
    if found is None or found.id == who.project:
        return who
    scope = replace(who.store.scope, project=found.id)
    return replace(who, project=found.id, store=AsyncStore(engine=whole.engine, scope=scope))


async def _shown(who: Identity, whole: AsyncStore) -> Identity:
    """Return who asks with the projects to choose from, if there are several."""
    found = await whole.projects.list(limit=MAX_PAGE)
    if len(found.items) < 2:
        return who
    own = next((one.name for one in found if one.id == who.project), None) or await _own_name(who)
    names = [one.name for one in found]
    return replace(who, chosen=own, projects=tuple(names if own in names else [own, *names]))


async def _own_name(who: Identity) -> str:
    try:
        return (await who.store.projects.get()).name
    except NotFound:
        # It is made when something is first written into it.
        return DEFAULT_NAME


def carried(location: str, name: str) -> str:
    """Return an address of this server that leads into the same project."""
    parts = urlsplit(location)
    if parts.netloc or not parts.path.startswith("/") or parts.path == "/sign-in":
        return location
    query = "&".join(text for text in (parts.query, f"{PARAMETER}={quote(name, safe='')}") if text)
    return urlunsplit(parts._replace(query=query))
