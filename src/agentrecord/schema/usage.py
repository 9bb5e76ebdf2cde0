"""Rollups: exact figures by hour and day, changed in the transaction of the row they count.

The nil UUID stands for "none" in a key, since a null could not be part of a unique one. Hours exist so that days in
any time zone sum right; days, so that a year is read at once. What is only found by its key SQLite keeps in its key's
order, without an index of the key beside it.
"""

from enum import StrEnum
from typing import Any  # `Any`: SQLAlchemy columns are generic over values it does not know

from sqlalchemy import Column

from agentrecord.schema.tables import USAGE_COUNTERS, at, column, counters, define, index, project_id
from agentrecord.schema.types import EnumText, Flag, Id, Real, Whole, Words

USAGE_KEY = (
    "project_id",
    "bucket",
    "model_uuid",
    "user_uuid",
    "agent_uuid",
    "agent_version_uuid",
    "is_subagent",
)
"""The model comes before the user, so that the figures of each model's hours or days lie together."""

ACTIVITY_KEY = ("project_id", "day", "user_uuid", "agent_uuid")
ACTIVITY_COUNTERS = (
    "session_count",
    "failed_sessions",
    "message_count",
    "run_count",
    "failed_runs",
    "completed_runs",
    "run_iterations",
    "tool_calls",
    "tool_errors",
    "error_count",
)


DIMENSIONS = ("user_uuid", "agent_uuid", "agent_version_uuid", "model_uuid", "is_subagent")
"""What calls are told apart by beside their time, in the order of the columns."""


class ToolCut(StrEnum):
    """What the figures of tools are told apart by beside the tool: every sum is kept in several ways.

    Tools times models times users are nearly as many as calls; what is asked for is a tool and one thing more.
    """

    ALL = "all"
    MODEL = "model"
    USER = "user"
    AGENT = "agent"
    TOOL = "tool"


CUT_KEYS: dict[ToolCut, tuple[str, ...]] = {
    ToolCut.ALL: USAGE_KEY[2:],
    ToolCut.MODEL: ("model_uuid", "is_subagent"),
    ToolCut.USER: ("user_uuid", "is_subagent"),
    ToolCut.AGENT: ("agent_uuid", "agent_version_uuid", "is_subagent"),
    ToolCut.TOOL: ("is_subagent",),
}
"""What the rows of a cut are told apart by; all else in their keys is nil."""

HOUR_CUTS = (ToolCut.ALL, ToolCut.TOOL)
DAY_CUTS = (ToolCut.ALL, ToolCut.MODEL, ToolCut.USER, ToolCut.AGENT)
TOOL_HOURS_KEY = ("project_id", "cut", "bucket", "tool_name", *USAGE_KEY[2:])
TOOL_DAYS_KEY = (
    "project_id",
    "cut",
    "user_uuid",
    "tool_name",
    "bucket",
    *[name for name in USAGE_KEY[2:] if name != "user_uuid"],
)
"""A user's days of a tool lie together, so that they are added up without being sorted; hours are asked for in turn."""

DIVIDED = (*[name for name in USAGE_COUNTERS if name.endswith("_tokens")], "cost_nanos")
"""What is divided among the tools of a call; a call itself counts whole for each of them."""

UNDIVIDED = tuple(name for name in USAGE_COUNTERS if name not in DIVIDED)
ONCE = tuple(f"once_{name}" for name in UNDIVIDED)
"""What cannot be divided, counted for a call's first tool alone: what is left of the whole asked for no tool."""

TOOL_COUNTERS = (*USAGE_COUNTERS, *ONCE)
TOOL_KEY = ("project_id", "day", "user_uuid", "agent_uuid", "tool_name")
LATENCY_KEY = ("project_id", "day", "agent_uuid", "model_uuid", "bucket")
ERROR_KEY = ("project_id", "group_uuid", "day", "user_uuid", "agent_uuid")


def _usage_columns() -> list[Column[Any]]:
    return [
        project_id(),
        column("bucket", Whole()),
        column("user_uuid", Id()),
        column("agent_uuid", Id()),
        column("agent_version_uuid", Id()),
        column("model_uuid", Id()),
        column("is_subagent", Flag()),
        *counters(*USAGE_COUNTERS),
        at("first_at"),
        at("last_at"),
    ]


usage_hours = define("ar_usage_hours", *_usage_columns(), primary_key=USAGE_KEY, clustered=True)
"""`bucket` counts hours since 1970."""

usage_days = define("ar_usage_days", *_usage_columns(), primary_key=USAGE_KEY)
"""`bucket` counts UTC days since 1970. Not clustered, so that SQLite finds one user's or agent's by their index."""
index("ix_ar_usage_days_model", usage_days.c.project_id, usage_days.c.model_uuid, usage_days.c.bucket)
index("ix_ar_usage_days_user", usage_days.c.project_id, usage_days.c.user_uuid, usage_days.c.bucket)
index("ix_ar_usage_days_agent", usage_days.c.project_id, usage_days.c.agent_uuid, usage_days.c.bucket)
index(
    "ix_ar_usage_days_version",
    usage_days.c.project_id,
    usage_days.c.agent_version_uuid,
    usage_days.c.model_uuid,
    usage_days.c.bucket,
)

call_tools = define(
    "ar_call_tools",
    project_id(),
    column("llm_call_uuid", Id()),
    column("tool_name", Words()),
    column("user_uuid", Id()),
    primary_key=("project_id", "llm_call_uuid", "tool_name"),
    clustered=True,
)
"""Which tools a call asked for: that of its run (outside any, of its session) after which the tool was used next."""


def _tool_columns() -> list[Column[Any]]:
    cut = column("cut", EnumText(ToolCut))
    return [*_usage_columns(), cut, column("tool_name", Words()), *counters(*ONCE)]


tool_usage_hours = define("ar_tool_usage_hours", *_tool_columns(), primary_key=TOOL_HOURS_KEY, clustered=True)
tool_usage_days = define("ar_tool_usage_days", *_tool_columns(), primary_key=TOOL_DAYS_KEY, clustered=True)
"""What the calls that asked for a tool come to, as `ar_usage_days` for calls, in each of its cuts."""

activity_days = define(
    "ar_activity_days",
    project_id(),
    column("day", Whole()),
    column("user_uuid", Id()),
    column("agent_uuid", Id()),
    *counters(*ACTIVITY_COUNTERS),
    column("satisfaction_sum", Real(), default="0"),
    *counters("satisfaction_count"),
    primary_key=ACTIVITY_KEY,
    clustered=True,
)

tool_days = define(
    "ar_tool_days",
    project_id(),
    column("day", Whole()),
    column("user_uuid", Id()),
    column("agent_uuid", Id()),
    column("tool_name", Words()),
    *counters("calls", "errors", "duration_ms_sum", "duration_count"),
    primary_key=TOOL_KEY,
    clustered=True,
)

latency_days = define(
    "ar_latency_days",
    project_id(),
    column("day", Whole()),
    column("agent_uuid", Id()),
    column("model_uuid", Id()),
    column("bucket", Whole()),
    *counters("calls"),
    primary_key=LATENCY_KEY,
    clustered=True,
)
"""A histogram that merges: bucket `b` holds latencies of about 2^(b/4) ms."""

error_days = define(
    "ar_error_days",
    project_id(),
    column("group_uuid", Id()),
    column("day", Whole()),
    column("user_uuid", Id()),
    column("agent_uuid", Id()),
    *counters("count"),
    primary_key=ERROR_KEY,
    clustered=True,
)
"""How often each group of equal errors was met, by whom and in whose work."""
