"""A server on loopback that speaks OpenAI's two APIs and does what a test tells it to, over real HTTP.

Each request takes the next step of the script: an answer (whole or streamed, as the request asks), a refusal, silence,
a connection that is cut, or words that are no JSON. What was asked is kept for the test to look at.
"""

import asyncio
import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from faces import Loop


@dataclass(frozen=True)
class Use:
    """A tool that the model wants used."""

    ref: str
    name: str
    arguments: dict[str, Any] | str = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The arguments as the model writes them."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True)
class Usage:
    """What a call took; `cached` is a part of `going_in`, `reasoning` of `coming_out`."""

    going_in: int = 100
    coming_out: int = 20
    cached: int = 0
    reasoning: int = 0

    def told(self, api: str) -> dict[str, Any]:
        """Return it in an API's words."""
        names = ("prompt", "completion") if api == "chat_completions" else ("input", "output")
        return {
            f"{names[0]}_tokens": self.going_in,
            f"{names[0]}_tokens_details": {"cached_tokens": self.cached},
            f"{names[1]}_tokens": self.coming_out,
            f"{names[1]}_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.going_in + self.coming_out,
        }


@dataclass(frozen=True)
class Answer:
    """The model says `text`, piece by piece, after `reasoning`, and wants tools used."""

    text: Sequence[str] = ()
    uses: Sequence[Use] = ()
    reasoning: str | None = None
    usage: Usage | None = field(default_factory=Usage)
    model: str = "test-model-2026"
    cut_after: int | None = None
    end_after: int | None = None
    malformed_after: int | None = None
    hang_after: int | None = None
    hold_after: int | None = None


@dataclass(frozen=True)
class Refusal:
    """The server refuses."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = '{"error": {"message": "no", "type": "test", "code": null}}'


@dataclass(frozen=True)
class Silence:
    """The server says nothing."""


@dataclass(frozen=True)
class Cut:
    """The connection ends without an answer."""


Step = Answer | Refusal | Silence | Cut


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    api: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float = field(default_factory=perf_counter)

    @property
    def said(self) -> list[Any]:
        """What the model was shown, without the instructions."""
        items: list[Any] = self.body["messages"] if self.api == "chat_completions" else self.body["input"]
        return [item for item in items if item.get("role") != "system" or self.api == "responses"]

    @property
    def max_output_tokens(self) -> int | None:
        """How much the model was allowed to say."""
        name = "max_tokens" if self.api == "chat_completions" else "max_output_tokens"
        found: int | None = self.body.get(name)
        return found


class OpenAIServer:
    """Answers as scripted; `url` is where."""

    def __init__(self) -> None:
        """Start on a free port of the loopback address."""
        self.asked: list[Asked] = []
        self.connected = 0
        self._script: deque[Step] = deque()
        self._loop = Loop()
        self._quiet: asyncio.Event
        self._go: asyncio.Event
        self._server: asyncio.Server
        self._loop.run(self._start())
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"

    def will(self, *steps: Step) -> None:
        """Add steps to the script."""
        self._script.extend(steps)

    @property
    def left(self) -> int:
        """How many steps nobody has asked for."""
        return len(self._script)

    def go_on(self) -> None:
        """Let answers that hold go on."""
        self._loop.run(self._let_go())

    async def _let_go(self) -> None:
        self._go.set()

    def close(self) -> None:
        """End, whoever still waits."""
        self._loop.run(self._stop())
        self._loop.close()

    def __enter__(self) -> Self:
        """Return the server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    async def _start(self) -> None:
        self._quiet, self._go = asyncio.Event(), asyncio.Event()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _stop(self) -> None:
        self._quiet.set()
        self._go.set()
        self._server.close()
        await self._server.wait_closed()
        # Those who were answered by silence must be gone before the loop is.
        while self.connected:
            await asyncio.sleep(0.001)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            api = "chat_completions" if "/chat/completions" in first else "responses"
            self.asked.append(Asked(api, headers, body))
            step = self._script.popleft() if self._script else Refusal(400, body='{"error": "the script is over"}')
            await self._take(step, self.asked[-1], writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            writer.close()
            self.connected -= 1

    async def _take(self, step: Step, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if isinstance(step, Silence):
            await self._quiet.wait()
        elif isinstance(step, Cut):
            writer.transport.abort()
        elif isinstance(step, Refusal):
            writer.write(_head(step.status, "application/json", step.headers, len(step.body)) + step.body.encode())
            await writer.drain()
        elif asked.body.get("stream"):
            await self._stream(step, asked, writer)
        else:
            whole = json.dumps(_whole(step, asked.api)).encode()
            writer.write(_head(200, "application/json", _ID, len(whole)) + whole)
            await writer.drain()

    async def _stream(self, step: Answer, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(_head(200, "text/event-stream", (*_ID, ("transfer-encoding", "chunked"))))
        pieces = _chat_pieces(step) if asked.api == "chat_completions" else _response_pieces(step)
        for n, (event, data) in enumerate(pieces):
            if n == step.cut_after:
                writer.transport.abort()
                return
            if n == step.end_after:
                break
            if n == step.hold_after:
                await self._go.wait()
            if n == step.hang_after:
                await self._quiet.wait()
            text = "{no JSON" if n == step.malformed_after else json.dumps(data)
            name = f"event: {event}\n" if event else ""
            writer.write(_chunk(f"{name}data: {text}\n\n"))
            await writer.drain()
        else:
            writer.write(_chunk("data: [DONE]\n\n") if asked.api == "chat_completions" else b"")
        writer.write(_chunk(""))
        await writer.drain()


_ID = (("x-request-id", "req_test"),)


def _head(status: int, kind: str, headers: Sequence[tuple[str, str]], length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if length is not None:
        lines.append(f"content-length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _chunk(text: str) -> bytes:
    """Return text as a piece of a chunked body; the empty piece is its end."""
    encoded = text.encode()
    return f"{len(encoded):x}\r\n".encode() + encoded + b"\r\n"


def _whole(step: Answer, api: str) -> dict[str, Any]:
    if api == "responses":
        return _response(step, "completed")
    uses = [
        {"id": use.ref, "type": "function", "function": {"name": use.name, "arguments": use.text}} for use in step.uses
    ]
    message = {"role": "assistant", "content": "".join(step.text) or None, **({"tool_calls": uses} if uses else {})}
    return {
        "id": "chatcmpl-test", "object": "chat.completion", "created": 1, "model": step.model,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if uses else "stop"}],
        "usage": step.usage.told(api) if step.usage else None,
    }  # fmt: skip


def _chat_pieces(step: Answer) -> Iterator[tuple[str | None, dict[str, Any]]]:
    frame = {"id": "chatcmpl-test", "object": "chat.completion.chunk", "created": 1, "model": step.model}

    def piece(delta: dict[str, Any], finish: str | None = None) -> tuple[None, dict[str, Any]]:
        return None, {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield piece({"role": "assistant", "content": ""})
    if step.reasoning:
        yield piece({"reasoning_content": step.reasoning})
    for text in step.text:
        yield piece({"content": text})
    for n, use in enumerate(step.uses):
        called = {"index": n, "id": use.ref, "type": "function", "function": {"name": use.name, "arguments": ""}}
        yield piece({"tool_calls": [called]})
        yield piece({"tool_calls": [{"index": n, "function": {"arguments": use.text}}]})
    yield piece({}, "tool_calls" if step.uses else "stop")
    if step.usage:
        yield None, {**frame, "choices": [], "usage": step.usage.told("chat_completions")}


def _output(step: Answer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if step.reasoning:
        summary = [{"type": "summary_text", "text": step.reasoning}]
        found.append({"id": "rs_test", "type": "reasoning", "summary": summary})
    if step.text:
        part = {"type": "output_text", "text": "".join(step.text), "annotations": []}
        found.append(
            {"id": "msg_test", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        )
    found += [
        {
            "id": f"fc_{use.ref}", "type": "function_call", "call_id": use.ref, "name": use.name,
            "arguments": use.text, "status": "completed",
        }
        for use in step.uses
    ]  # fmt: skip
    return found


def _response(step: Answer, status: str) -> dict[str, Any]:
    is_done = status == "completed"
    return {
        "id": "resp_test", "object": "response", "created_at": 1, "model": step.model, "status": status,
        "output": _output(step) if is_done else [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "usage": step.usage.told("responses") if is_done and step.usage else None,
    }  # fmt: skip


def _response_pieces(step: Answer) -> Iterator[tuple[str, dict[str, Any]]]:
    sequence = iter(range(10**6))

    def piece(event: str, **data: Any) -> tuple[str, dict[str, Any]]:
        return event, {"type": event, "sequence_number": next(sequence), **data}

    yield piece("response.created", response=_response(step, "in_progress"))
    for index, item in enumerate(_output(step)):
        if item["type"] == "message":
            place = {"output_index": index, "content_index": 0, "item_id": item["id"]}
            part = {"type": "output_text", "text": "", "annotations": []}
            yield piece("response.output_item.added", output_index=index, item={**item, "content": []})
            yield piece("response.content_part.added", part=part, **place)
            for text in step.text:
                yield piece("response.output_text.delta", delta=text, logprobs=[], **place)
            yield piece("response.output_text.done", text="".join(step.text), logprobs=[], **place)
            yield piece("response.content_part.done", part=item["content"][0], **place)
        else:
            yield piece("response.output_item.added", output_index=index, item=item)
        yield piece("response.output_item.done", output_index=index, item=item)
    yield piece("response.completed", response=_response(step, "completed"))
