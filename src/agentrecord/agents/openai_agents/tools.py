"""The application's tools: each use of them is recorded, failures included."""

import asyncio
import copy
import inspect
from collections.abc import Awaitable, Callable
from typing import Any  # `Any`: a tool returns what it likes

from agents import FunctionTool, RunContextWrapper, Tool
from agents.tool import resolve_function_tool_failure_error_function, set_function_tool_failure_error_function
from agents.tool_context import ToolContext
from pydantic import BaseModel

from agentrecord.agents.openai_agents.items import flat
from agentrecord.agents.openai_agents.ledger import described
from agentrecord.agents.openai_agents.session import settled
from agentrecord.agents.runner import TurnRecorder
from agentrecord.codec import values


class RecordedTools:
    """Copies of tools that record when they are called and what they give back."""

    def __init__(self, recorder: TurnRecorder) -> None:
        """Record through a turn's recorder."""
        self._recorder = recorder
        self._failed: dict[str, Exception] = {}

    def wrapped(self, tool: Tool) -> Tool:
        """Return a copy of a function tool that is recorded; tools that the provider runs are returned as they are."""
        if not isinstance(tool, FunctionTool):
            return tool
        recorded = copy.copy(tool)
        tell = resolve_function_tool_failure_error_function(recorded)
        if tell is not None:
            # The SDK hands a failure to this function alone: what it returns is the tool's result to all others.
            set_function_tool_failure_error_function(recorded, self._noting(tell))
        recorded.on_invoke_tool = self._recording(recorded.name, recorded.on_invoke_tool)
        return recorded

    def _noting(self, tell: Callable[..., Any]) -> Callable[[RunContextWrapper[Any], Exception], Awaitable[str]]:
        async def noting(context: RunContextWrapper[Any], error: Exception) -> str:
            if isinstance(context, ToolContext):
                self._failed[context.tool_call_id] = error
            told = tell(context, error)
            return str(await told if inspect.isawaitable(told) else told)

        return noting

    def _recording(
        self, name: str, invoke: Callable[[ToolContext[Any], str], Awaitable[Any]]
    ) -> Callable[[ToolContext[Any], str], Awaitable[Any]]:
        async def recording(context: ToolContext[Any], arguments: str) -> Any:
            ref = context.tool_call_id
            await self._recorder.tool_started(name, call_ref=ref, arguments=_arguments(arguments))
            try:
                result = await invoke(context, arguments)
            except BaseException as error:
                said = "the tool was interrupted" if isinstance(error, asyncio.CancelledError) else described(error)
                await settled(self._recorder.tool_finished(ref, result=said, is_error=True))
                raise
            failure = self._failed.pop(ref, None)
            said = _shown(result) if failure is None else described(failure)
            await self._recorder.tool_finished(ref, result=said, is_error=failure is not None)
            return result

        return recording


def _arguments(given: str) -> str | None:
    return values.clean_text(given) or None


def _shown(result: object) -> str:
    """Return a tool's result as text."""
    parts = result if isinstance(result, list) else [result]
    texts = [part.model_dump() for part in parts if isinstance(part, BaseModel)]
    return values.clean_text(flat(texts) or str(result))
