"""A model whose every call is recorded: around whichever model of the SDK really answers."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, cast  # `Any`: the SDK's signatures hold it
from uuid import UUID

from agents import AgentOutputSchemaBase, Handoff, Model, ModelResponse, ModelSettings, ModelTracing, Tool
from agents.items import TResponseInputItem, TResponseStreamEvent
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest
from openai.types.responses import Response, ResponseFunctionToolCall
from openai.types.responses.response_prompt_param import ResponsePromptParam

from agentrecord.agents.openai_agents.items import Item
from agentrecord.agents.openai_agents.ledger import Call, Ledger, Request
from agentrecord.agents.openai_agents.wire import HEADER, ListeningClient, Wire

_PARAMETERS = (
    "temperature", "top_p", "frequency_penalty", "presence_penalty", "tool_choice", "parallel_tool_calls",
    "truncation", "max_tokens", "reasoning", "verbosity", "metadata", "store",
)  # fmt: skip
_DELTAS = (
    "response.output_text.delta",
    "response.refusal.delta",
    "response.function_call_arguments.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
)
NEWER_MAX_TOKENS = "max_completion_tokens"
TEXT_DELTAS = _DELTAS[:2]
"""The events that carry a piece of what the user is told."""


class UnfinishedStream(Exception):
    """The stream ended before the response was complete."""

    def __str__(self) -> str:
        """Say so."""
        return "the stream ended before the response was complete"


class RecordedModel(Model):
    """Hands every request on to another model, and records it: before, and however it ends."""

    def __init__(self, inner: Model, ledger: Ledger, *, name: str, client: ListeningClient | None) -> None:
        """Record what `inner` is asked; `client` is what it sends with, None if that cannot be heard."""
        self._inner = inner
        self._ledger = ledger
        self._name = name
        self._client = client

    async def close(self) -> None:
        """Leave the model open: other turns ask it too."""

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        """Return what the model advises about trying again."""
        return self._inner.get_retry_advice(request)

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002 - the SDK's own name
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff[Any, Any]],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> ModelResponse:
        """Ask the model for its whole answer, and record the call."""
        call = await self._begin(system_instructions, input, model_settings, tools, handoffs, is_streamed=False)
        try:
            response = await self._inner.get_response(
                system_instructions, input, self._heard(model_settings, call), tools, output_schema, handoffs, tracing,
                previous_response_id=previous_response_id, conversation_id=conversation_id, prompt=prompt,
            )  # fmt: skip
            call.saw_token()
            await self._ledger.succeed(
                call, cast("list[Item]", response.to_input_items()), model=self._name, usage=_json(response.raw_usage)
            )
        except BaseException as error:
            await self._ledger.fail(call, error)
            raise
        finally:
            self._forget(call)
        return response

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002 - the SDK's own name
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff[Any, Any]],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Ask the model for its answer piece by piece, and record the call."""
        call = await self._begin(system_instructions, input, model_settings, tools, handoffs, is_streamed=True)
        try:
            async for event in self._inner.stream_response(
                system_instructions, input, self._heard(model_settings, call), tools, output_schema, handoffs, tracing,
                previous_response_id=previous_response_id, conversation_id=conversation_id, prompt=prompt,
            ):  # fmt: skip
                self._name_calls(call, event)
                if event.type in _DELTAS:
                    call.saw_token(str(getattr(event, "delta", "")) if event.type in TEXT_DELTAS else "")
                elif event.type == "response.completed":
                    # Recorded before it is handed on: the SDK stops listening there, and goes on to the tools.
                    await self._completed(call, event.response)
                yield event
            if not call.is_recorded:
                raise UnfinishedStream
        except BaseException as error:
            await self._ledger.fail(call, error)
            raise
        finally:
            self._forget(call)

    def _name_calls(self, call: Call, event: TResponseStreamEvent) -> None:
        """Give the tool calls that an event tells of names of their own."""
        response = getattr(event, "response", None)
        for item in (getattr(event, "item", None), *(response.output if response is not None else ())):
            if isinstance(item, ResponseFunctionToolCall):
                item.call_id = call.refs.setdefault(item.call_id, self._ledger.distinct(item.call_id))

    async def _completed(self, call: Call, response: Response) -> None:
        if self._client is not None and not call.wire.is_finished:
            # The SDK takes the end of a stream for the end of the answer, whether anybody said so or not.
            raise UnfinishedStream
        items = [item.model_dump(mode="json", exclude_unset=True) for item in response.output]
        usage = None if response.usage is None else response.usage.model_dump_json(exclude_unset=True)
        await self._ledger.succeed(call, items, model=response.model or self._name, usage=usage)

    async def _begin(
        self,
        instructions: str | None,
        given: str | list[TResponseInputItem],
        settings: ModelSettings,
        tools: list[Tool],
        handoffs: list[Handoff[Any, Any]],
        *,
        is_streamed: bool,
    ) -> Call:
        items = [{"content": given, "role": "user"}] if isinstance(given, str) else given
        schemas = [_schema(tool) for tool in tools] + [[h.tool_name, h.input_json_schema] for h in handoffs]
        parameters = {name: _plain(getattr(settings, name)) for name in _PARAMETERS}
        parameters = {name: value for name, value in parameters.items() if value is not None}
        request = Request(
            instructions=instructions,
            items=cast("list[Item]", items),
            tools=schemas,
            parameters={"model": self._name, **parameters, "tools": [t.name for t in tools], "stream": is_streamed},
            max_output_tokens=settings.max_tokens or (settings.extra_args or {}).get(NEWER_MAX_TOKENS),
        )
        return await self._ledger.begin(request, self._wire)

    def _wire(self, call: UUID) -> Wire:
        if self._client is not None:
            return self._client.listen(str(call))
        unheard = Wire()
        unheard.sending()
        return unheard

    def _forget(self, call: Call) -> None:
        if self._client is not None:
            self._client.forget(str(call.id))

    def _heard(self, settings: ModelSettings, call: Call) -> ModelSettings:
        if self._client is None:
            return settings
        return settings.resolve(ModelSettings(extra_headers={**(settings.extra_headers or {}), HEADER: str(call.id)}))


def _schema(tool: Tool) -> list[object]:
    return [tool.name, getattr(tool, "description", None), getattr(tool, "params_json_schema", None)]


def _plain(value: object) -> object:
    dump: Callable[..., object] | None = getattr(value, "model_dump", None)
    return value if dump is None else dump(mode="json", exclude_unset=True)


def _json(usage: dict[str, Any] | None) -> str | None:
    return None if usage is None else json.dumps(usage)
