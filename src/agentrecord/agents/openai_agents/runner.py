"""Answers a turn with the OpenAI Agents SDK: any model behind an OpenAI-compatible API, with the application's tools.

The SDK runs the loop of model and tools; this module hands it what it works with, each part wrapped so that it
records itself: the model its calls, the tools their uses, the session what was said. Nothing is sent anywhere but to
the API that answers: the SDK's own tracing is off.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal, cast

from agents import (
    Agent,
    Model,
    ModelRetryBackoffSettings,
    ModelRetrySettings,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RawResponsesStreamEvent,
    RunConfig,
    Runner,
    RunResultStreaming,
    Tool,
    retry_policies,
)
from agents.items import TResponseInputItem
from openai import AsyncOpenAI
from openai.types.responses import ResponseRefusalDeltaEvent, ResponseTextDeltaEvent

from agentrecord.agents.openai_agents.ledger import Ledger
from agentrecord.agents.openai_agents.model import NEWER_MAX_TOKENS, RecordedModel
from agentrecord.agents.openai_agents.session import settled
from agentrecord.agents.openai_agents.tools import RecordedTools
from agentrecord.agents.openai_agents.turn_session import TurnSession
from agentrecord.agents.openai_agents.wire import ListeningClient
from agentrecord.agents.runner import AgentTurn, Reply, TurnRecorder
from agentrecord.codec.values import clean_text
from agentrecord.exceptions import TurnFailed

NAME = "openai-agents"
HOST = "OpenAI"
OFFICIAL_URL = "https://api.openai.com/v1"
MAX_OUTPUT_TOKENS = 4096
MAX_TURNS = 10
TIMEOUT_S = 120.0
MAX_RETRIES = 2

Api = Literal["responses", "chat_completions"]


class OpenAIAgentsRunner:
    """Answers with an agent of the OpenAI Agents SDK."""

    def __init__(
        self,
        model: str | Model,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        api: Api = "responses",
        host: str = HOST,
        max_output_tokens: int = MAX_OUTPUT_TOKENS,
        max_turns: int = MAX_TURNS,
        history_limit: int | None = None,
        tools: Sequence[Tool] = (),
        timeout_s: float = TIMEOUT_S,
        max_retries: int = MAX_RETRIES,
        retry_delay_s: float = 0.5,
    ) -> None:
        """Answer with `model`, a name at the API behind `base_url`, or a model object of the SDK.

        `host` is under which name the calls are recorded and priced. `max_turns` bounds how often the model is asked
        for one answer, `history_limit` how many of the latest items before it the model is shown, `timeout_s` how
        long the API may send nothing, `max_retries` how often a request that failed is sent again, after
        `retry_delay_s` and more, or as long as the API asks for.
        """
        self._host = host
        self._max_turns = max_turns
        self._history_limit = history_limit
        self._tools = tuple(tools)
        self._client: ListeningClient | None = None
        self._api: AsyncOpenAI | None = None
        is_official = (base_url or OFFICIAL_URL).rstrip("/") == OFFICIAL_URL
        if isinstance(model, str):
            self._client = ListeningClient(timeout=timeout_s)
            # Every attempt is a call of its own in the record, so the client must not try again by itself.
            self._api = AsyncOpenAI(
                base_url=base_url or OFFICIAL_URL, api_key=api_key or "none", timeout=timeout_s, max_retries=0,
                http_client=self._client,
            )  # fmt: skip
            kind = OpenAIResponsesModel if api == "responses" else OpenAIChatCompletionsModel
            self._model_name = model
            self._model: Model = kind(model, self._api)
        else:
            self._model = model
            self._model_name = str(getattr(model, "model", type(model).__name__))
        # OpenAI's own chat completions refuse `max_tokens` for its newer models; nobody else knows the newer name.
        is_newer = is_official and api == "chat_completions" and isinstance(model, str)
        self._settings = ModelSettings(
            max_tokens=None if is_newer else max_output_tokens,
            extra_args={NEWER_MAX_TOKENS: max_output_tokens} if is_newer else None,
            include_usage=True,
            preserve_raw_usage=True,
            retry=ModelRetrySettings(
                max_retries=max_retries,
                backoff=ModelRetryBackoffSettings(initial_delay=retry_delay_s, max_delay=16 * retry_delay_s),
                policy=retry_policies.provider_suggested(),
            ),
        )

    @property
    def name(self) -> str:
        """The runner's name in settings and on runs."""
        return NAME

    async def close(self) -> None:
        """Close the connections to the API."""
        if self._api is not None:
            await self._api.close()

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        """Answer one turn.

        Raises what the API or a tool raised, `OverBudget` before a call that might cross a budget, and `TurnFailed`
        where a tool waits for an approval that nobody can give here.
        """
        ledger = Ledger(recorder, model=self._model_name, host=self._host)
        session = TurnSession(turn, recorder, ledger, limit=self._history_limit)
        tools = RecordedTools(recorder)
        agent = Agent(
            name=turn.agent_name or turn.session.agent_name or "Assistant",
            instructions=turn.instructions,
            model=RecordedModel(self._model, ledger, name=self._model_name, client=self._client),
            model_settings=self._settings,
            tools=[tools.wrapped(tool) for tool in self._tools],
        )
        result = Runner.run_streamed(
            agent,
            cast("list[TResponseInputItem]", session.new_items()),
            session=session,
            max_turns=self._max_turns,
            run_config=RunConfig(tracing_disabled=True, workflow_name=NAME),
        )
        try:
            await _hand_on(result, recorder)
        finally:
            await _ended(result)
        if result.interruptions:
            names = ", ".join(str(item.name) for item in result.interruptions)
            raise TurnFailed(f"{names} needs an approval, which nobody can give here; let the tool run without")
        content = "" if result.final_output is None else str(result.final_output)
        return Reply(content=content, model=ledger.model, message=None if ledger.answer is None else ledger.answer.id)


async def _hand_on(result: RunResultStreaming, recorder: TurnRecorder) -> None:
    """Give the client the answer piece by piece, until the run is over."""
    async for event in result.stream_events():
        if isinstance(event, RawResponsesStreamEvent) and isinstance(
            event.data, ResponseTextDeltaEvent | ResponseRefusalDeltaEvent
        ):
            await recorder.delta(clean_text(event.data.delta))


async def _ended(result: RunResultStreaming) -> None:
    """Wait until the SDK's own task is over, so that whatever it was recording is recorded before the turn is."""
    if result.run_loop_task is None:
        return
    if not result.run_loop_task.done():
        result.cancel()
    await settled(asyncio.wait({result.run_loop_task}))
