"""Budgets, and what is reserved for calls that are not recorded yet."""

from agentrecord.records.budget import BudgetPeriod
from agentrecord.schema.tables import at, column, define, index, optional, project_id, row_id, unique
from agentrecord.schema.types import EnumText, Flag, Id, Whole, Words

budgets = define(
    "ar_budgets",
    project_id(),
    row_id(),
    column("name", Words()),
    optional("user_uuid", Id()),
    optional("agent_uuid", Id()),
    column("period", EnumText(BudgetPeriod)),
    column("limit_nanos", Whole()),
    column("allow_unpriced", Flag()),
    column("is_active", Flag()),
    at("created_at"),
    at("updated_at"),
    unique("project_id", "name"),
)

# Few rows: a reservation is deleted when its call is recorded, so that sums over them need no rollup. Only where nobody
# knows what the call cost it stays: from `held_day` on, the UTC day on which the call was recorded, it is a hold.
call_reservations = define(
    "ar_call_reservations",
    project_id(),
    row_id(),
    column("model", Words()),
    optional("host"),
    column("user_uuid", Id()),
    optional("agent_uuid", Id()),
    optional("run_uuid", Id()),
    optional("session_uuid", Id()),
    optional("amount_nanos", Whole()),
    column("input_tokens", Whole()),
    optional("max_output_tokens", Whole()),
    at("created_at"),
    optional("held_day", Whole()),
)
index("ix_ar_call_reservations_run", call_reservations.c.project_id, call_reservations.c.run_uuid)
