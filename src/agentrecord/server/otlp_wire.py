"""How OTLP travels over HTTP: bodies in two encodings, inflated within bounds, and answers in the request's own."""

import asyncio
import json
import zlib
from collections.abc import Callable
from http import HTTPStatus
from importlib import import_module
from typing import Any  # `Any`: the module that needs protobuf is loaded when protobuf arrives

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentrecord.ingest.otlp_wire import Received
from agentrecord.server.problems import PROBLEM_JSON, is_otlp

PROTOBUF, JSON = "application/x-protobuf", "application/json"
MAX_INFLATED_BYTES = 64 * 1024 * 1024
RETRY_AFTER_S = 1
INSIDE_AT_ONCE = 16
WORKING_AT_ONCE = 2

_CHUNK = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_INVALID, _DENIED, _NOT_FOUND, _EXHAUSTED, _UNIMPLEMENTED, _INTERNAL, _UNAVAILABLE = 3, 7, 5, 8, 12, 13, 14
_UNAUTHENTICATED, _UNKNOWN = 16, 2
_CODES = {
    400: _INVALID, 401: _UNAUTHENTICATED, 402: _EXHAUSTED, 403: _DENIED, 404: _NOT_FOUND, 405: _UNIMPLEMENTED,
    413: _EXHAUSTED, 415: _INVALID, 422: _INVALID, 429: _EXHAUSTED, 500: _INTERNAL, 501: _UNIMPLEMENTED,
    503: _UNAVAILABLE,
}  # fmt: skip


class Admission:
    """Lets in so many requests at once, two of them at work; the others are told to come again."""

    def __init__(self) -> None:
        """Begin with nobody in."""
        self.turn = asyncio.Semaphore(WORKING_AT_ONCE)
        self._inside = 0

    def __enter__(self) -> None:
        """Let a request in; raise 503 if too many are in."""
        if self._inside >= INSIDE_AT_ONCE:
            detail = "Too many requests wait to be stored; send it again."
            raise HTTPException(503, detail, {"Retry-After": str(RETRY_AFTER_S)})
        self._inside += 1

    def __exit__(self, *_: object) -> None:
        """Let it out."""
        self._inside -= 1


def encoding_of(headers: Headers) -> str:
    """Return the media type of a request's body; raise 415 for one that is not OTLP's."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (PROTOBUF, JSON):
        raise HTTPException(415, f"Content-Type {kind[:80]!r} is not taken; send {PROTOBUF} or {JSON}.")
    return kind


def inflated(body: bytes, headers: Headers) -> bytes:
    """Return a body without its compression; raise 400 if it is broken, 413 if it grows too large, 415 for others."""
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity":
        return body
    if coding != "gzip":
        raise HTTPException(415, f"Content-Encoding {coding[:80]!r} is not taken; send gzip, or none.")
    try:
        found = _gunzipped(body)
    except zlib.error as error:
        raise HTTPException(400, f"The body is no gzip that can be read: {error}.") from error
    return found


def _gunzipped(body: bytes) -> bytes:
    """Inflate in steps, so that a body that grows without end is let go at the limit."""
    found: list[bytes] = []
    size = 0
    engine, rest = zlib.decompressobj(_GZIP), body
    while rest:
        piece = engine.decompress(rest, _CHUNK)
        size += len(piece)
        if size > MAX_INFLATED_BYTES:
            raise HTTPException(413, f"The body has more than {MAX_INFLATED_BYTES:,} bytes; send smaller batches.")
        found.append(piece)
        rest = engine.unconsumed_tail
        if engine.eof and engine.unused_data:
            # A gzip file may have several members, one after the other.
            engine, rest = zlib.decompressobj(_GZIP), engine.unused_data
        elif not rest and not engine.eof:
            piece = engine.flush(_CHUNK) if not piece else b""
            found.append(piece)
            if not engine.eof:
                raise zlib.error("it is cut off before its end")
    return b"".join(found)


def protobuf_reader(name: str) -> Callable[..., Any]:
    """Return a function of the module that reads protobuf; raise 415 where the packages for it are not installed."""
    try:
        module = import_module("agentrecord.ingest.otlp_protobuf")
    except ModuleNotFoundError as error:
        detail = f"This server reads OTLP in {JSON} only; for {PROTOBUF} install agentrecord[otlp] beside it."
        raise HTTPException(415, detail) from error
    found: Callable[..., Any] = getattr(module, name)
    return found


def acknowledged(received: Received, encoding: str, rejected_name: str) -> Response:
    """Return the answer to a request that was stored: empty, or how many were refused and why."""
    if encoding == JSON:
        partial = {rejected_name: str(received.rejected), "errorMessage": received.message}
        return Response(json.dumps({"partialSuccess": partial} if received.rejected else {}), 200, media_type=JSON)
    partial_bytes = _number(1, received.rejected) + _bytes(2, received.message.encode()) if received.rejected else b""
    return Response(_bytes(1, partial_bytes) if partial_bytes else b"", 200, media_type=PROTOBUF)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def status_body(status: int, message: str, encoding: str) -> bytes:
    """Return a google.rpc.Status."""
    code = _CODES.get(status, _UNKNOWN)
    if encoding == JSON:
        return json.dumps({"code": code, "message": message}).encode()
    return _number(1, code) + _bytes(2, message.encode("utf-8", "replace"))


class OtlpErrors:
    """Turns the problems that any part of the server answers with into what tracing clients understand."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; an error's body becomes a google.rpc.Status in the request's encoding."""
        if scope["type"] != "http" or not is_otlp(scope["path"]):
            await self._app(scope, receive, send)
            return
        kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        encoding = PROTOBUF if kind == PROTOBUF else JSON
        held: list[Message] = []
        body: list[bytes] = []

        async def translated(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_problem(message):
                held.append(message)
            elif held:
                body.append(message.get("body", b""))
                if not message.get("more_body", False):
                    await _send_status(held[0], b"".join(body), encoding, send)
            else:
                await send(message)

        await self._app(scope, receive, translated)


def _is_problem(start: Message) -> bool:
    return start["status"] >= 400 and Headers(raw=start["headers"]).get("content-type", "").startswith(PROBLEM_JSON)


async def _send_status(start: Message, problem: bytes, encoding: str, send: Send) -> None:
    told = json.loads(problem)
    # A disk that is full may have room again: clients ask again only after 503.
    status = HTTPStatus.SERVICE_UNAVAILABLE if start["status"] == HTTPStatus.INSUFFICIENT_STORAGE else start["status"]
    body = status_body(status, f"{told['title']}: {told['detail']}", encoding)
    headers = MutableHeaders(raw=list(start["headers"]))
    headers["Content-Type"] = encoding
    headers["Content-Length"] = str(len(body))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    await send({"type": "http.response.start", "status": int(status), "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})
