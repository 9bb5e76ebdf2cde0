"""Turns of the conversation endpoint, and what their clients are told."""

from agentrecord.records.turn import TurnStatus
from agentrecord.schema.tables import at, belongs_to, column, counters, define, index, optional, project_id, row_id
from agentrecord.schema.types import EnumText, Id, Whole, Words

turns = define(
    "ar_turns",
    project_id(),
    row_id(),
    column("session_uuid", Id()),
    column("user_uuid", Id()),
    column("begun_by_uuid", Id()),
    column("run_uuid", Id()),
    column("status", EnumText(TurnStatus)),
    optional("idempotency_key"),
    column("request_hash", Words()),
    column("lease_owner", Words()),
    at("lease_expires_at"),
    at("cancel_requested_at", null=True),
    at("watched_at", null=True),
    *counters("last_event"),
    optional("response"),
    optional("error_type"),
    optional("error_message"),
    at("created_at"),
    at("finished_at", null=True),
    belongs_to("ar_sessions", "session_uuid"),
)
# `user_uuid` is the session's user; somebody else, an administrator, may have begun the turn, with a key of their own.
# Two turns of one session are never answered at once: the second finds this index in its way.
index(
    "uq_ar_turns_running",
    turns.c.project_id,
    turns.c.session_uuid,
    unique=True,
    where=turns.c.finished_at.is_(None),
)
index(
    "uq_ar_turns_idempotency_key",
    turns.c.project_id,
    turns.c.begun_by_uuid,
    turns.c.idempotency_key,
    unique=True,
    where=turns.c.idempotency_key.is_not(None),
)
index("ix_ar_turns_session", turns.c.project_id, turns.c.session_uuid, turns.c.finished_at)

turn_events = define(
    "ar_turn_events",
    project_id(),
    column("turn_uuid", Id()),
    column("user_uuid", Id()),
    column("sequence", Whole()),
    column("event", Words()),
    column("data", Words()),
    at("created_at"),
    belongs_to("ar_turns", "turn_uuid"),
    primary_key=("project_id", "turn_uuid", "sequence"),
)
index("ix_ar_turn_events_created", turn_events.c.project_id, turn_events.c.created_at)
