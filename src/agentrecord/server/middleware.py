"""What holds for every answer: security headers, the hosts we answer to, the size of a request, its time."""

import asyncio
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentrecord.dashboard.assets import FOLDER
from agentrecord.server.metrics import Metrics
from agentrecord.server.problems import answer, is_otlp, problem

MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_BODY_S = 30.0
MAX_OTLP_BYTES = 64 * 1024 * 1024
MAX_SIGN_IN_BYTES = 16 * 1024
"""For `/api/auth/`: some of it is open to anybody, and a password and an e-mail are short."""

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """Adds the security headers, and the time that the answer took, to every answer, and counts it."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        """Wrap an application; answers are counted in `metrics`."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                kept = scope["path"].startswith(FOLDER)
                headers.setdefault("Cache-Control", "no-cache" if kept else "no-store")
                took = time.perf_counter() - started
                self._metrics.note(scope["path"], message["status"], took)
                headers["Server-Timing"] = f"total;dur={took * 1000:.1f}"
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        await self._app(scope, receive, with_headers)


class KnownHosts:
    """Refuses a Host that is not ours: a foreign name that resolves here is an attack (DNS rebinding)."""

    def __init__(self, app: ASGIApp, *, public: Collection[str] = ()) -> None:
        """Wrap an application; `public` are the names that it has beside those of this computer."""
        self._app = app
        self._known = LOCAL_HOSTS | {name.lower().rstrip(".") for name in public}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] == "http" and not is_known(Headers(scope=scope).getlist("host"), self._known):
            refused = problem(400, f"This server answers to {', '.join(sorted(self._known))} only.", name="WrongHost")
            await answer(scope["path"], refused)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_known(hosts: list[str], known: Collection[str] = LOCAL_HOSTS) -> bool:
    """Say whether the Host headers of a request are one, and name a known host."""
    if len(hosts) != 1:
        return False
    host = hosts[0].lower()
    name, _, port = host.rpartition("]") if host.startswith("[") else host.partition(":")
    if host.startswith("["):
        name, port = name + "]", port.removeprefix(":")
    return name in known and (not port or (port.isascii() and port.isdigit()))


def most_bytes(path: str) -> int:
    """Return how large a request for `path` may be: exporters send many spans at once, who signs in sends little."""
    if path.startswith("/api/auth/"):
        return MAX_SIGN_IN_BYTES
    return MAX_OTLP_BYTES if is_otlp(path) else MAX_BODY_BYTES


class BodyLimit:
    """Refuses requests whose body is too large, comes too slowly, or is compressed: nobody's memory or time is free."""

    def __init__(self, app: ASGIApp, *, max_s: float = MAX_BODY_S) -> None:
        """Wrap an application."""
        self._app = app
        self._max_s = max_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        told, coding = headers.get("content-length", "0"), headers.get("content-encoding", "identity")
        # Exporters compress what they send: their route unpacks it, within bounds of its own.
        if coding.lower() != "identity" and not is_otlp(path):
            detail = f"Content-Encoding {coding[:40]!r} is not taken here; send the body as it is."
            await answer(scope["path"], problem(415, detail, name="Compressed"))(scope, receive, send)
        elif not told.isdigit() or int(told) > most_bytes(path):
            await self._too_large(scope)(scope, receive, send)
        else:
            await self._limited(scope, receive, send)

    def _too_large(self, scope: Scope) -> Response:
        most = most_bytes(scope["path"])
        return answer(scope["path"], problem(413, f"A request may have {most:,} bytes.", name="TooLarge"))

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, complete, most = 0, False, most_bytes(scope["path"])
        refused: list[Response] = []
        deadline = asyncio.get_running_loop().time() + self._max_s

        async def counted() -> Message:
            nonlocal size, complete
            try:
                # Once the body is there, whoever waits here waits for the client to leave.
                async with asyncio.timeout_at(None if complete else deadline):
                    message = await receive()
            except TimeoutError:
                detail = f"The body did not come within {self._max_s:g} s."
                refused.append(answer(scope["path"], problem(408, detail, name="TooSlow"), {"Connection": "close"}))
                return {"type": "http.disconnect"}
            size += len(message.get("body", b""))
            complete = complete or not message.get("more_body", False)
            if size <= most:
                return message
            refused.append(self._too_large(scope))
            # The rest is not read: to the application the caller is gone, and whatever it answers is replaced.
            return {"type": "http.disconnect"}

        async def unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        await self._app(scope, counted, unless_refused)
        if refused:
            await refused[0](scope, receive, send)
