"""What becomes of the calls that were under way when their process went: failed, at a cost that nobody knows."""

from uuid import UUID

from agentrecord.engine import Connection
from agentrecord.records.llm_call import CallStatus, NewLLMCall
from agentrecord.records.scope import Scope
from agentrecord.store import llm_calls, reserving


def close_calls(conn: Connection, scope: Scope, run: UUID, *, session: UUID | None, ended: str) -> None:
    """Record the calls reserved in a run as failed: what the provider charged for them, nobody told.

    `session` is the run's, None if it is gone; `ended` says what ended before the model had answered.
    """
    for reserved in reserving.open_reservations(conn, scope, run=run):
        call = NewLLMCall(
            id=reserved.id, model=reserved.model, host=reserved.host, status=CallStatus.ERROR,
            run_uuid=run, session_uuid=session,
            error_message=f"{ended} before the model had answered; what the provider charged is not known",
        )  # fmt: skip
        llm_calls.record(conn, scope, call)
