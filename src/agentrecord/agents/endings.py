"""How turns end, as the record keeps it and as their clients are told."""

from agentrecord.agents.runner import Reply
from agentrecord.codec.jsonable import to_json
from agentrecord.codec.values import clean_text
from agentrecord.exceptions import (
    AgentRecordError,
    Conflict,
    TurnCancelled,
    TurnFailed,
    TurnInterrupted,
    TurnOverBudget,
    TurnTimedOut,
)
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.turn import LAST_EVENTS, ConversationTurn, TurnEnd, TurnEvent, TurnStatus

_ERRORS: dict[str, type[AgentRecordError]] = {
    kind.__name__: kind for kind in (TurnTimedOut, TurnCancelled, TurnInterrupted, TurnOverBudget)
}


def completed(reply: Reply) -> TurnEnd:
    """Return the end of a turn that was answered."""
    if reply.message is not None:
        return TurnEnd(status=TurnStatus.COMPLETED, reply_uuid=reply.message, model=reply.model)
    message = NewMessage(role=MessageRole.ASSISTANT, content=clean_text(reply.content), model_used=reply.model)
    return TurnEnd(status=TurnStatus.COMPLETED, reply=message, model=reply.model)


def ended(status: TurnStatus, error_type: str, message: str) -> TurnEnd:
    """Return the end of a turn that was not answered."""
    return TurnEnd(status=status, error_type=error_type, error_message=clean_text(message))


def cancelled(reason: str) -> TurnEnd:
    """Return the end of a turn that was stopped."""
    return ended(TurnStatus.CANCELLED, TurnCancelled.__name__, reason)


def last_event(turn: ConversationTurn) -> TurnEvent:
    """Return the last event of a turn that is over, from its row."""
    said = {"type": turn.error_type, "detail": turn.error_message}
    data = turn.response or to_json(said).decode()
    return TurnEvent(sequence=turn.last_event, event=LAST_EVENTS[turn.status], data=data)


def answer_of(turn: ConversationTurn) -> str:
    """Return the answer of a turn that is over, as JSON text; raise what ended it otherwise."""
    if turn.response is not None:
        return turn.response
    said = f"{turn.error_type}: {turn.error_message}" if turn.error_type not in _ERRORS else turn.error_message
    if turn.status is TurnStatus.COMPLETED:
        raise Conflict("turn", turn.id, "was answered, and its words were deleted since")
    raise _ERRORS.get(turn.error_type or "", TurnFailed)(said or "the agent did not answer")
