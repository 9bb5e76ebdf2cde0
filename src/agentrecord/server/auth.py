"""Every request but those for a few open paths needs somebody who is known; here they are told apart and let in."""

import asyncio
import logging
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentrecord.dashboard.assets import FOLDER
from agentrecord.dashboard.filters import theme_of
from agentrecord.exceptions import InvalidValue, NotFound, StoreUnavailable, TooManyRequests
from agentrecord.server import choosing
from agentrecord.server.cookies import is_same_origin, local_path, signed_in
from agentrecord.server.gate import Gate
from agentrecord.server.identity import Identity, address_of
from agentrecord.server.limits import RateLimit
from agentrecord.server.problems import answer, is_api, of_error, problem
from agentrecord.server.sse import EVENT_STREAM
from agentrecord.server.trail import Trail

logger = logging.getLogger("agentrecord.server")

OPEN_PATHS = frozenset({"/sign-in", "/healthz", "/api/auth/sign-in", "/api/auth/refresh", "/api/auth/sign-up"})
"""What anybody may ask for; with `OPEN_FOLDER`, and nothing else."""

OPEN_FOLDER = FOLDER
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PER_MINUTE = 600


def is_open(path: str) -> bool:
    """Say whether a path needs no identity."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER)


class Authentication:
    """Lets in who is known, gives each the part of the record that is theirs, and keeps what administrators did."""

    def __init__(self, app: ASGIApp, *, gate: Gate, trail: Trail, per_minute: int = PER_MINUTE) -> None:
        """Wrap an application; everybody who is known may ask `per_minute` times a minute, 0 for no limit."""
        self._app = app
        self._gate = gate
        self._trail = trail
        self._limit = RateLimit(per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            admitted = await (self._of_open(scope) if is_open(scope["path"]) else self._admit(scope))
        except StoreUnavailable as error:
            found, headers = of_error(error)
            logger.error("%s %s: %s", found.instance, scope["path"], error, exc_info=error)
            admitted = answer(scope["path"], found, headers)
        except (NotFound, InvalidValue) as error:
            admitted = answer(scope["path"], *of_error(error))
        if isinstance(admitted, Identity):
            await self._serve(admitted, scope, receive, send)
        else:
            await (admitted or self._app)(scope, receive, send)

    async def _serve(self, who: Identity, scope: Scope, receive: Receive, send: Send) -> None:
        status = 500
        noted: asyncio.Future[None] | None = None

        async def told(message: Message) -> None:
            nonlocal status, noted
            if who.chosen and message["type"] == "http.response.start":
                led = MutableHeaders(raw=message["headers"])
                if "location" in led:
                    led["location"] = choosing.carried(led["location"], who.chosen)
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
                # A live answer may last for hours: that it was asked for is kept when it begins.
                if Headers(raw=message.get("headers", [])).get("content-type", "").startswith(EVENT_STREAM):
                    noted = asyncio.ensure_future(self._note(who, scope, status))

        try:
            await self._app(scope, receive, told)
        finally:
            await (noted or self._note(who, scope, status))

    async def _note(self, who: Identity, scope: Scope, status: int) -> None:
        route = getattr(scope.get("route"), "path", None)
        if route is not None:
            parts = scope.get("path_params", {})
            await self._trail.note(who, scope["method"], route, parts, status, is_api=is_api(scope["path"]))

    async def _of_open(self, scope: Scope) -> Response | None:
        """Return the answer to a request for an open path, None where the application answers."""
        path, headers = scope["path"], Headers(scope=scope)
        if path == "/sign-in" and scope["method"] in SAFE_METHODS:
            asked = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
            if "token" in asked:
                return await self._by_token(scope, asked["token"], local_path(asked.get("next")))
        # A page of another site must not sign a browser in as somebody else.
        if not is_api(path) and scope["method"] not in SAFE_METHODS and not is_same_origin(headers, scope["scheme"]):
            return _foreign(path)
        return None

    async def _by_token(self, scope: Scope, token: str, target: str) -> Response:
        if not self._gate.is_link_token(token):
            return _unknown(scope)
        link_secret = await self._gate.link_secret()
        return signed_in(self._gate.secret, link_secret, target=target, is_https=scope["scheme"] == "https")

    async def _admit(self, scope: Scope) -> Identity | Response:
        headers, path = Headers(scope=scope), scope["path"]
        by_link = await self._by_link(scope)
        if by_link is not None:
            return by_link
        who = await self._identity(headers, scope)
        if who is None:
            return _unknown(scope)
        wait_s = self._limit.wait_s(f"{who.kind}:{who.id}", self._gate.whole.engine.maker.clock.now())
        if wait_s:
            return answer(path, *of_error(TooManyRequests(wait_s)))
        if who.by_cookie and scope["method"] not in SAFE_METHODS and not is_same_origin(headers, scope["scheme"]):
            return _foreign(path)
        who = await self._in_project(who, headers, scope)
        scope.setdefault("state", {}).update(store=who.store, identity=who)
        return who

    async def _in_project(self, who: Identity, headers: Headers, scope: Scope) -> Identity:
        named = choosing.taken_off(scope)
        known = choosing.remembered(headers, self._gate.secret) if who.by_cookie else None
        return await choosing.in_project(who, self._gate.whole, named, known, is_page=not is_api(scope["path"]))

    async def _by_link(self, scope: Scope) -> Response | None:
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in asked if name == "token"]
        if scope["method"] != "GET" or is_api(scope["path"]) or not tokens:
            return None
        if not self._gate.is_link_token(tokens[0]):
            return None
        rest = urlencode([(name, value) for name, value in asked if name != "token"])
        path = local_path(scope["path"])
        return await self._by_token(scope, tokens[0], f"{path}?{rest}" if rest else path)

    async def _identity(self, headers: Headers, scope: Scope) -> Identity | None:
        address = address_of(scope)
        given = headers.getlist("authorization")
        if not given:
            return await self._gate.by_cookie(headers, is_https=scope["scheme"] == "https", address=address)
        kind, _, credential = given[0].partition(" ")
        # Two of them is a guess at which one somebody else reads.
        if len(given) > 1 or kind.lower() != "bearer":
            return None
        return await self._gate.by_credential(credential.strip(), address=address)


def _foreign(path: str) -> Response:
    return answer(path, problem(403, "This request came from another site's page, so it was not carried out."))


def _unknown(scope: Scope) -> Response:
    path = scope["path"]
    detail = (
        "Send `Authorization: Bearer …` with an API key of this record or an access token."
        if is_api(path)
        else "This page is for people who are signed in."
    )
    found = problem(401, detail, name="SignInNeeded", title="Sign in first")
    theme = theme_of({}, HTTPConnection(scope).cookies)
    return answer(path, found, {"WWW-Authenticate": "Bearer"}, next_path=_wanted(scope), theme=theme)


def _wanted(scope: Mapping[str, object]) -> str:
    """Return where a browser wanted to go, to lead it there once it is signed in."""
    query = bytes(scope["query_string"]).decode("latin-1") if isinstance(scope["query_string"], bytes) else ""
    kept = urlencode([pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "token"])
    path = quote(str(scope["path"]), safe="/:@-._~!$&'()*+,;=")
    return local_path(f"{path}?{kept}" if kept else path) if scope["method"] == "GET" and path != "/sign-in" else "/"
