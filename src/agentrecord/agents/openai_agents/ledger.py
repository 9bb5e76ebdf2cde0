"""The ledger of one turn: every call to the model, what it was shown, and what came of it."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from typing import Any  # `Any`: items, tool schemas and parameters hold whatever their makers put there
from uuid import UUID

from openai import APIStatusError

from agentrecord.agents.openai_agents.items import Item, Told, flat, message_of_response
from agentrecord.agents.openai_agents.session import settled
from agentrecord.agents.openai_agents.wire import Wire, tokens_of
from agentrecord.agents.runner import TurnRecorder
from agentrecord.codec import values
from agentrecord.exceptions import Conflict, InvalidValue
from agentrecord.records.event import EventType
from agentrecord.records.llm_call import CallStatus, NewLLMCall, PromptPart
from agentrecord.records.message import Message, MessageRole, NewMessage

_UNREAD = frozenset({401, 403, 404, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a model is asked: the instructions, the items before it, its tools, and the parameters of the call."""

    instructions: str | None
    items: Sequence[Item]
    tools: Sequence[Any]
    parameters: dict[str, Any]
    max_output_tokens: int | None

    @property
    def max_input_tokens(self) -> int:
        """An upper bound: no tokenizer makes more tokens than there are bytes."""
        shown = json.dumps([self.instructions, self.items, self.tools], ensure_ascii=False, default=str)
        return len(shown.encode("utf-8", "surrogatepass"))


@dataclass(slots=True, kw_only=True)
class Call:
    """One call under way; `is_recorded` once the record has it, however it ended.

    `refs` tells what the tool calls of its answer are called here.
    """

    id: UUID
    request: Request
    wire: Wire
    iteration: int
    prompt: tuple[PromptPart, ...]
    prompt_length: int
    began: float = field(default_factory=perf_counter)
    first_token: float | None = None
    partial: list[str] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=dict)
    is_recorded: bool = False

    def saw_token(self, text: str = "") -> None:
        """Note a piece of the answer."""
        if self.first_token is None:
            self.first_token = perf_counter()
        if text:
            self.partial.append(text)

    @property
    def latency_ms(self) -> int:
        """The time since the request was sent."""
        return round((perf_counter() - self._sent) * 1000)

    @property
    def time_to_first_token_ms(self) -> int | None:
        """The time from sending the request to the first piece of the answer."""
        return None if self.first_token is None else round((self.first_token - self._sent) * 1000)

    @property
    def _sent(self) -> float:
        return self.wire.started or self.began


class Ledger:
    """Records the calls of one turn, each exactly once, and knows which message tells which item."""

    def __init__(self, recorder: TurnRecorder, *, model: str, host: str | None) -> None:
        """Record the turn's calls to `model` at `host` through its recorder."""
        self._recorder = recorder
        self._model = model
        self._host = host
        self._known: dict[str, list[Message]] = defaultdict(list)
        self._refs: set[str] = set()
        self._calls = 0
        self.answer: Message | None = None
        self.model: str | None = None

    def know(self, told: Iterable[Told]) -> None:
        """Learn which messages tell which items, in their order."""
        for each in told:
            self._known[_key(each.item)].append(each.message)
            if each.item.get("type") == "function_call":
                self._refs.add(str(each.item.get("call_id")))

    def distinct(self, ref: str) -> str:
        """Return the name of a tool call that no other in the session has: some servers number them anew each time."""
        named = (ref if n == 1 else f"{ref}-{n}" for n in count(1))
        return next(name for name in named if name not in self._refs)

    async def begin(self, request: Request, wire_of: Any) -> Call:
        """Reserve a call before it is made; raises `OverBudget` if it might cross a budget.

        `wire_of` gives what will hear the call, by its id.
        """
        call = await self._recorder.reserve(
            model=self._model,
            host=self._host,
            input_tokens=request.max_input_tokens,
            max_output_tokens=request.max_output_tokens,
        )
        self._calls += 1
        prompt, length = self._prompt(request)
        begun = Call(
            id=call, request=request, wire=wire_of(call), iteration=self._calls, prompt=prompt, prompt_length=length
        )
        await self._event(EventType.ITERATION_STARTED, begun)
        return begun

    async def succeed(self, call: Call, items: Sequence[Item], *, model: str, usage: str | None) -> None:
        """Record an answer and the call that gave it, in one transaction.

        `model` and `usage` are what the SDK says, for models that no wire hears.
        """
        call.is_recorded = True
        self.model = call.wire.model or model
        said = message_of_response(items)
        new = NewMessage(
            role=said.role, content=said.content, parts=said.parts, tools_used=said.tools_used, metadata=said.metadata,
            model_used=self.model, response_time_ms=call.latency_ms,
        )  # fmt: skip
        try:
            recorded = self._new_call(call, said=said.content, said_model=model, usage=usage)
            turn = await settled(self._recorder.append([new], calls=[recorded]))
        except Exception:
            call.is_recorded = False
            raise
        self.answer = turn.messages[-1]
        self.know(Told(item, self.answer) for item in items)
        await self._event(EventType.ITERATION_COMPLETED, call)

    async def fail(self, call: Call, error: BaseException) -> None:
        """Record a call that failed or was cut off; give the reservation back if the request never left."""
        if call.is_recorded:
            return
        call.is_recorded = True
        if not call.wire.was_sent:
            await settled(self._recorder.release(call.id))
            return
        failed = self._new_call(call, error=error, said="".join(call.partial))
        # An append may have stored the call and failed after that, in telling of it: then the call stands as it is.
        with suppress(Conflict):
            await settled(self._recorder.record_call(failed))

    def _new_call(
        self,
        call: Call,
        *,
        said: str,
        said_model: str | None = None,
        usage: str | None = None,
        error: BaseException | None = None,
    ) -> NewLLMCall:
        metrics = _storable(call.wire.usage or usage)
        text = values.clean_text(said)
        return NewLLMCall(
            id=call.id,
            model=call.wire.model or said_model or self._model,
            host=self._host,
            tokens=tokens_of(metrics),
            request_id=call.wire.request_id,
            prompt=call.prompt,
            prompt_length=call.prompt_length,
            input_params=_storable(json.dumps(call.request.parameters, ensure_ascii=False, default=str)),
            # The text of a success stands in its message.
            response_content=text if error is not None and text else None,
            response_length=len(text),
            usage_metrics=metrics,
            status=CallStatus.SUCCESS if error is None else CallStatus.ERROR,
            error_message=None if error is None else described(error),
            cost_nanos=0 if was_refused(error) else None,
            latency_ms=call.latency_ms,
            time_to_first_token_ms=call.time_to_first_token_ms,
        )

    def _prompt(self, request: Request) -> tuple[tuple[PromptPart, ...], int]:
        """Return what the model was shown, and its length: messages of the record where it has them, else text."""
        found: list[PromptPart] = []
        length = 0
        if request.instructions:
            found.append(PromptPart(role=MessageRole.SYSTEM, content=values.clean_text(request.instructions)))
            length = len(request.instructions)
        waiting = {key: deque(messages) for key, messages in self._known.items()}
        last: UUID | None = None
        for item in request.items:
            known = waiting.get(_key(item))
            message = known.popleft() if known else None
            if message is None:
                content = flat(item.get("content")) or json.dumps(item, ensure_ascii=False, default=str)
                found.append(PromptPart(role=MessageRole.SYSTEM, content=values.clean_text(content)))
                length += len(content)
            elif message.id != last:
                # One message may tell several items; it is one part of the prompt.
                found.append(PromptPart(role=message.role, message_uuid=message.id, revision=message.revision))
                length += len(message.content)
            last = None if message is None else message.id
        return tuple(found), length

    async def _event(self, event_type: EventType, call: Call) -> None:
        data = {"iteration": call.iteration, "model": call.wire.model or self._model}
        await self._recorder.event(event_type, json.dumps(data))


def was_refused(error: BaseException | None) -> bool:
    """Whether the provider turned a request away unread, at no charge: no right to it, no such model, too many."""
    return isinstance(error, APIStatusError) and error.status_code in _UNREAD


def described(error: BaseException) -> str:
    """Return what went wrong in words: the error's own, or its kind where it has none."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "the call was cut off: the turn was cancelled"
    text = str(error).strip()
    return values.clean_text(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _storable(text: str | None) -> str | None:
    """Return JSON text if every engine can store it; None if not, for a figure must not lose the call."""
    if text is None:
        return None
    try:
        return values.json_text("usage_metrics", text)
    except InvalidValue:
        return None


def _key(item: Item) -> str:
    """Return what stays the same of an item when the SDK hands it on: it may drop ids and add fields."""
    kind = item.get("type", "message")
    if kind in ("function_call", "function_call_output"):
        return json.dumps([kind, item.get("call_id")])
    if kind == "reasoning":
        return json.dumps([kind, flat(item.get("summary")) or flat(item.get("content"))])
    if kind == "message":
        return json.dumps([kind, item.get("role"), flat(item.get("content"))])
    return json.dumps(item, sort_keys=True, default=str)
