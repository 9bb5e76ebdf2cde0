"""Who may come in: the browser that followed the sign-in link, and programs with an API key.

The link's token is checked once and answered with a cookie that only this record's secret can have made.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from agentrecord.records.scope import Scope as RecordScope
from agentrecord.server.problems import answer, is_api, problem
from agentrecord.store import AsyncStore

COOKIE_LIFE_S = 30 * 24 * 3600
OPEN_PATHS = frozenset({"/sign-in", "/healthz"})
"""What anybody may ask for; with `OPEN_FOLDER`, and nothing else."""

OPEN_FOLDER = "/static/"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How a caller is known: the store that it may see, and whether a cookie brought it."""

    store: AsyncStore
    by_cookie: bool


def same_secret(given: str, expected: str) -> bool:
    """Compare two secrets in a time that tells nothing about either."""
    one, other = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (given, expected))
    return hmac.compare_digest(one, other)


def cookie_name(secret: bytes) -> str:
    """Return the cookie's name: one for each record, since cookies do not tell apart the ports of one computer."""
    return f"agentrecord-{hashlib.sha256(b'name' + secret).hexdigest()[:8]}"


def make_cookie(secret: bytes, *, expires_at: int) -> str:
    """Return the cookie's value that holds until `expires_at`, seconds since 1970."""
    said = f"v1.{expires_at}"
    return f"{said}.{hmac.new(secret, said.encode(), hashlib.sha256).hexdigest()}"


def is_cookie(value: str, secret: bytes, *, now: float) -> bool:
    """Say whether a cookie's value was made with `secret` and still holds."""
    parts = value.split(".")
    if len(parts) != 3 or parts[0] != "v1" or not parts[1].isascii() or not parts[1].isdigit():
        return False
    said = f"{parts[0]}.{parts[1]}"
    signature = hmac.new(secret, said.encode(), hashlib.sha256).hexdigest()
    return same_secret(parts[2], signature) and int(parts[1]) > now


def local_path(wanted: str | None) -> str:
    """Return `wanted` if it is a path on this server, else the first page."""
    if not wanted or not wanted.startswith("/") or wanted[1:2] in ("/", "\\"):
        return "/"
    clean = wanted.isprintable() and "\\" not in wanted and not urlsplit(wanted).netloc
    return wanted if clean else "/"


def is_open(path: str) -> bool:
    """Say whether a path needs no identity."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER)


def signed_in(secret: bytes, *, target: str, is_https: bool) -> Response:
    """Return the answer that sets the cookie and leads to `target`."""
    response = RedirectResponse(target, 303)
    response.set_cookie(
        cookie_name(secret),
        make_cookie(secret, expires_at=int(time.time()) + COOKIE_LIFE_S),
        max_age=COOKIE_LIFE_S,
        path="/",
        secure=is_https,
        httponly=True,
        samesite="strict",
    )
    return response


def cookie_of(headers: Mapping[str, str], secret: bytes) -> str:
    """Return our cookie's value in a request, empty if there is none."""
    # Other servers on this computer set cookies too, of any shape: the parser must be as lenient as browsers are.
    return cookie_parser(headers.get("cookie", "")).get(cookie_name(secret), "")


def is_same_origin(headers: Mapping[str, str], scheme: str) -> bool:
    """Say whether a page of this server sent the request; unknown counts as no."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return headers.get("origin") == f"{scheme}://{headers.get('host', '')}"


class Authentication:
    """Lets in who is known, and gives each the part of the record that is theirs."""

    def __init__(self, app: ASGIApp, *, store: AsyncStore, secret: bytes, sign_in_token: str | None) -> None:
        """Wrap an application."""
        self._app = app
        self._store = store
        self._secret = secret
        self._token = sign_in_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._admit(scope)
        await (refusal or self._app)(scope, receive, send)

    async def _admit(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        if path == "/sign-in":
            return self._sign_in(scope)
        if is_open(path):
            return None
        by_link = self._by_link(scope)
        if by_link is not None:
            return by_link
        identity = await self._identity(headers)
        if identity is None:
            return _unknown(path)
        unsafe = scope["method"] not in SAFE_METHODS
        if identity.by_cookie and unsafe and not is_same_origin(headers, scope["scheme"]):
            return answer(path, problem(403, "This request came from another site's page, so it was not carried out."))
        scope.setdefault("state", {})["store"] = identity.store
        return None

    def _sign_in(self, scope: Scope) -> Response:
        asked = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if not self._is_token(asked.get("token")):
            return _unknown("/sign-in")
        return signed_in(self._secret, target=local_path(asked.get("next")), is_https=scope["scheme"] == "https")

    def _by_link(self, scope: Scope) -> Response | None:
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in asked if name == "token"]
        if scope["method"] != "GET" or is_api(scope["path"]) or not tokens or not self._is_token(tokens[0]):
            return None
        rest = urlencode([(name, value) for name, value in asked if name != "token"])
        path = local_path(scope["path"])
        target = f"{path}?{rest}" if rest else path
        return signed_in(self._secret, target=target, is_https=scope["scheme"] == "https")

    def _is_token(self, given: str | None) -> bool:
        return bool(given) and bool(self._token) and same_secret(given or "", self._token or "")

    async def _identity(self, headers: Mapping[str, str]) -> Identity | None:
        kind, _, credential = headers.get("authorization", "").partition(" ")
        if kind:
            return await self._of_key(credential.strip()) if kind.lower() == "bearer" else None
        if is_cookie(cookie_of(headers, self._secret), self._secret, now=time.time()):
            return Identity(store=self._store, by_cookie=True)
        return None

    async def _of_key(self, credential: str) -> Identity | None:
        key = await self._store.keys.find(credential)
        if key is None:
            return None
        scope = RecordScope(project=key.project_id, user=key.user_uuid, role=key.role)
        return Identity(store=AsyncStore(engine=self._store.engine, scope=scope), by_cookie=False)


def _unknown(path: str) -> Response:
    detail = (
        "Send `Authorization: Bearer arec_…` with an API key of this record."
        if is_api(path)
        else "Open the link that `agentrecord serve` printed when it started: it signs this browser in for 30 days."
    )
    found = problem(401, detail, name="SignInNeeded", title="Sign in first")
    return answer(path, found, {"WWW-Authenticate": "Bearer"})
