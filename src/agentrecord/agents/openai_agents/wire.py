"""What a provider itself said about a call, read from its HTTP answer as it passes.

The SDK fills gaps with its own defaults (a usage of 0, the model as asked for) and retells one API in the words of
another. What is recorded is what came over the wire: the model that answered, the usage as JSON text, the id of the
request. A call is known by a header, which is taken off before the request leaves.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from time import perf_counter
from typing import Any  # `Any`: httpx types its keyword arguments in private modules

import httpx2
import msgspec
from openai import DefaultAsyncHttpxClient

from agentrecord.records.tokens import TokenCounts

HEADER = "x-agentrecord-call"
_DONE = b"[DONE]"
_MAX_TOKENS = 1_000_000_000
_NULL = b"null"
_NOTHING = msgspec.Raw(_NULL)


class _Said(msgspec.Struct):
    """The fields that matter of an answer, of a piece of a stream, or of the response inside such a piece."""

    id: msgspec.Raw = _NOTHING
    model: msgspec.Raw = _NOTHING
    usage: msgspec.Raw = _NOTHING
    response: msgspec.Raw = _NOTHING
    type: msgspec.Raw = _NOTHING
    choices: msgspec.Raw = _NOTHING


_DECODER = msgspec.json.Decoder(_Said)


class Wire:
    """What has been heard of one call so far; None where the provider did not say.

    `is_finished` once the provider said that its answer is whole: a stream may just stop.
    """

    def __init__(self) -> None:
        """Start before the request is sent."""
        self.started: float | None = None
        self.model: str | None = None
        self.usage: str | None = None
        self.response_id: str | None = None
        self.header_id: str | None = None
        self.is_finished = False
        self._rest = b""

    @property
    def was_sent(self) -> bool:
        """Say whether the request was handed to the network."""
        return self.started is not None

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, else of its answer."""
        return self.header_id or self.response_id

    def sending(self) -> None:
        """Note that the request leaves now."""
        self.started = perf_counter()

    def hear(self, text: bytes) -> None:
        """Take a whole answer, or one piece of a stream."""
        try:
            said = _DECODER.decode(text)
        except msgspec.DecodeError:
            # Whoever waits for the answer is told by the SDK that this was no JSON.
            return
        self.model = _text(said.model) or self.model
        self.response_id = _text(said.id) or self.response_id
        if bytes(said.usage) != _NULL:
            self.usage = bytes(said.usage).decode()
        if bytes(said.response) != _NULL:
            self.hear(bytes(said.response))
        self.is_finished = self.is_finished or _text(said.type) == "response.completed" or _ends(said.choices)

    def hear_stream(self, chunk: bytes) -> None:
        """Take bytes of a stream of server-sent events, wherever they were cut."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                said = line[5:].strip()
                self.is_finished = self.is_finished or said == _DONE
                self.hear(said)


class ListeningClient(DefaultAsyncHttpxClient):
    """The SDK's own HTTP client, that lets a `Wire` hear what comes back."""

    def __init__(self, **kwargs: Any) -> None:
        """Take what an HTTP client takes."""
        super().__init__(**kwargs)
        self._wires: dict[str, Wire] = {}

    def listen(self, call: str) -> Wire:
        """Return what will hear the request whose header names `call`."""
        return self._wires.setdefault(call, Wire())

    def forget(self, call: str) -> None:
        """Stop hearing that call."""
        self._wires.pop(call, None)

    async def send(self, request: httpx2.Request, *, stream: bool = False, **kwargs: Any) -> httpx2.Response:
        """Send a request, and let the call's wire hear the answer."""
        wire = self._wires.get(request.headers.pop(HEADER, ""))
        if wire is None:
            return await super().send(request, stream=stream, **kwargs)
        # Events are heard as they come, so they must not come compressed.
        request.headers["accept-encoding"] = "identity"
        wire.sending()
        response = await super().send(request, stream=stream, **kwargs)
        wire.header_id = response.headers.get("x-request-id")
        if stream and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Heard(response.stream, wire)
        elif not stream:
            wire.hear(response.content)
        return response


class _Heard(httpx2.AsyncByteStream):
    """A body that a wire hears as it is read."""

    def __init__(self, body: httpx2.AsyncByteStream, wire: Wire) -> None:
        self._body = body
        self._wire = wire

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield what comes, heard."""
        body = aiter(self._body)
        try:
            async for chunk in body:
                self._wire.hear_stream(chunk)
                yield chunk
        finally:
            if isinstance(body, AsyncGenerator):
                await body.aclose()

    async def aclose(self) -> None:
        """Close the body."""
        await self._body.aclose()


def _text(raw: msgspec.Raw) -> str | None:
    value = msgspec.json.decode(raw)
    return value if isinstance(value, str) and value else None


def _ends(choices: msgspec.Raw) -> bool:
    """Say whether a piece of a streamed chat completion is the last one of its answer."""
    said = msgspec.json.decode(choices)
    return isinstance(said, list) and any(isinstance(each, dict) and each.get("finish_reason") for each in said)


def tokens_of(usage: str | None) -> TokenCounts:
    """Return a provider's usage, in either API's words, as disjoint classes; None where it does not say."""
    if usage is None:
        return TokenCounts()
    said = msgspec.json.decode(usage)
    if not isinstance(said, dict):
        return TokenCounts()
    going_in = _count(said, "input_tokens", "prompt_tokens")
    read = _detail(said, ("input_tokens_details", "prompt_tokens_details"), "cached_tokens")
    written = _detail(said, ("input_tokens_details", "prompt_tokens_details"), "cache_write_tokens")
    return TokenCounts(
        input=None if going_in is None else max(0, going_in - (read or 0) - (written or 0)),
        cache_read=read,
        # How long the provider keeps it is not said; the shorter time is the one that providers default to.
        cache_write_5m=written,
        output=_count(said, "output_tokens", "completion_tokens"),
        reasoning=_detail(said, ("output_tokens_details", "completion_tokens_details"), "reasoning_tokens"),
    )


def _count(said: dict[str, object], *names: str) -> int | None:
    for name in names:
        value = said.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKENS:
            return value
    return None


def _detail(said: dict[str, object], names: tuple[str, ...], detail: str) -> int | None:
    for name in names:
        inner = said.get(name)
        if isinstance(inner, dict):
            return _count(inner, detail)
    return None
