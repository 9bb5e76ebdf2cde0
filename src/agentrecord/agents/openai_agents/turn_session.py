"""The session that the SDK's runner reads and writes during one turn of a conversation."""

from dataclasses import replace
from typing import Any, cast  # `Any`: an item holds whatever its provider put there

from agents.items import TResponseInputItem
from agents.memory.session_settings import SessionSettings

from agentrecord.agents.openai_agents.items import Item, Told, answerable, cleaned, items_of, message_of
from agentrecord.agents.openai_agents.ledger import Ledger
from agentrecord.agents.openai_agents.session import RecordSession, settled
from agentrecord.agents.runner import AgentTurn, TurnRecorder


class TurnSession:
    """The session's history, and what this turn adds to it.

    What the caller said is stored before the turn begins, and what the model says is stored with its call; of all that
    the SDK adds, only the tools' outputs are left to store. Nothing that is stored is ever taken back.
    """

    session_id: str
    session_settings: SessionSettings | None

    def __init__(self, turn: AgentTurn, recorder: TurnRecorder, ledger: Ledger, *, limit: int | None = None) -> None:
        """Read from the recorder's store, write through the recorder; the ledger learns which message tells what.

        `limit` is how many of the items before this turn the SDK asks for.
        """
        self.session_id = turn.session.session_id
        self.session_settings = SessionSettings(limit=limit)
        self._past = RecordSession(turn.session.session_id, recorder.store, row=turn.session.id)
        self._turn = turn
        self._recorder = recorder
        self._ledger = ledger
        self._said = items_of(turn.messages, {})
        self._stored = {each.item.get("call_id") for each in self._said}
        self._names: dict[object, str] = {}
        self._history: list[Item] | None = None
        self._added: list[Item] = []

    def new_items(self) -> list[Item]:
        """Return what the caller said in this turn."""
        return [each.item for each in self._said]

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Return what was said before this turn, and what the SDK has added since."""
        if self._history is None:
            past = self._before(await self._past.told())
            self._ledger.know(past)
            self._ledger.know(self._said)
            self._history = [each.item for each in past]
        found = [*self._history, *self._added]
        wanted = found if limit is None or limit < 0 else found[len(found) - min(limit, len(found)) :]
        return cast("list[TResponseInputItem]", wanted)

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Store the tools' outputs among the items, together."""
        given = cast("list[Item]", items)
        self._added.extend(given)
        self._names.update((i.get("call_id"), str(i.get("name"))) for i in given if i.get("type") == "function_call")
        outputs = [cleaned(item) for item in given if _is_output(item) and item.get("call_id") not in self._stored]
        if not outputs:
            return
        self._stored.update(item.get("call_id") for item in outputs)
        new = [replace(message_of(item), tool_name=self._names.get(item.get("call_id"))) for item in outputs]
        stored = await settled(self._recorder.append(new))
        self._ledger.know(Told(item, message) for item, message in zip(outputs, stored.messages, strict=True))

    async def pop_item(self) -> TResponseInputItem | None:
        """Take back the latest item that the SDK added, before it sends a request again."""
        return cast("TResponseInputItem", self._added.pop()) if self._added else None

    async def clear_session(self) -> None:
        """Take back what the SDK added; the conversation stays."""
        self._added.clear()

    def _before(self, told: list[Told]) -> list[Told]:
        """Return the history that a model accepts, up to this turn."""
        first = min((message.sequence for message in self._turn.messages), default=None)
        return answerable(each for each in told if first is None or each.message.sequence < first)


def _is_output(item: dict[str, Any]) -> bool:
    return str(item.get("type", "")).endswith("_output")
