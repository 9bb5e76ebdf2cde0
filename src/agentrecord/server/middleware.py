"""What holds for every answer: security headers, the hosts we answer to, the size of a request, its time."""

import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentrecord.server.problems import answer, is_otlp, problem

MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_OTLP_BYTES = 64 * 1024 * 1024
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
    """Adds the security headers, and the time that the answer took, to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

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
                kept = scope["path"].startswith("/static/")
                headers.setdefault("Cache-Control", "no-cache" if kept else "no-store")
                headers["Server-Timing"] = f"total;dur={(time.perf_counter() - started) * 1000:.1f}"
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        await self._app(scope, receive, with_headers)


class LocalHostOnly:
    """Refuses a Host that is not this computer: a foreign name that resolves here is an attack (DNS rebinding)."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] == "http" and not is_local(Headers(scope=scope).getlist("host")):
            refused = problem(400, "This server answers to localhost and 127.0.0.1 only.", name="WrongHost")
            await answer(scope["path"], refused)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_local(hosts: list[str]) -> bool:
    """Say whether the Host headers of a request name this computer, once."""
    if len(hosts) != 1:
        return False
    host = hosts[0].lower()
    name, _, port = host.rpartition("]") if host.startswith("[") else host.partition(":")
    if host.startswith("["):
        name, port = name + "]", port.removeprefix(":")
    return name in LOCAL_HOSTS and (not port or port.isdigit())


def most_bytes(path: str) -> int:
    """Return how large a request for `path` may be: exporters send many spans at once."""
    return MAX_OTLP_BYTES if is_otlp(path) else MAX_BODY_BYTES


class BodyLimit:
    """Refuses requests whose body is larger than its path allows."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most, told = most_bytes(scope["path"]), Headers(scope=scope).get("content-length", "0")
        refused = answer(scope["path"], problem(413, f"A request may have {most:,} bytes.", name="TooLarge"))
        if not told.isdigit() or int(told) > most:
            await refused(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            # The rest is not read: to the application the caller is gone, and whatever it answers is replaced.
            return {"type": "http.disconnect"} if size > most else message

        async def unless_refused(message: Message) -> None:
            if size <= most:
                await send(message)

        await self._app(scope, counted, unless_refused)
        if size > most:
            await refused(scope, receive, send)
