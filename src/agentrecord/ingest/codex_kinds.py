"""The kinds of rows in Codex rollouts, over all its versions, and what becomes of each."""

from agentrecord.ingest.fields import Row, table_of, text_of
from agentrecord.records.message import MessageRole

ROLES = {
    "user": MessageRole.USER,
    "assistant": MessageRole.ASSISTANT,
    "developer": MessageRole.SYSTEM,
    "system": MessageRole.SYSTEM,
}
CALLS = (
    "function_call",
    "custom_tool_call",
    "local_shell_call",
    "tool_search_call",
    "web_search_call",
    "image_generation_call",
    "tool_call",
)
# Nothing else in a rollout tells how these ended.
CALLS_WITHOUT_OUTPUT = ("web_search_call", "image_generation_call")
OUTPUTS = ("function_call_output", "custom_tool_call_output", "tool_search_output", "tool_result", "function_result")
EVENTS = {
    "entered_review_mode": "review_started",
    "exited_review_mode": "review_finished",
    "thread_goal_updated": "goal",
    "thread_rolled_back": "rewind",
    "undo_completed": "undo",
    "guardian_assessment": "guardian_assessment",
    "sub_agent_activity": "sub_agent_activity",
    "collab_agent_spawn_end": "sub_agent_started",
    "collab_close_end": "sub_agent_closed",
    "model_reroute": "model_change",
    "warning": "warning",
    "guardian_warning": "warning",
    "stream_error": "stream_error",
}
SKIPPED = {
    "world_state": "world states",
    "state": "state records",
    "inter_agent_communication_metadata": "messages between agents: metadata",
    "inter_agent_communication": "messages between agents: metadata",
    "task_started": "turn starts",
    "turn_started": "turn starts",
    "agent_reasoning": "copies of reasoning",
    "agent_reasoning_raw_content": "copies of reasoning",
    "agent_reasoning_section_break": "copies of reasoning",
    "context_compacted": "copies of compactions",
    "thread_settings_applied": "settings",
    "session_configured": "settings",
    "token_usage": "settings",
    "account/rateLimits/updated": "rate limits",
    "codex/event/raw_item": "stream progress",
    "plan_update": "plan progress",
    "turn_diff": "stream progress",
    "mcp_startup_update": "stream progress",
    "mcp_startup_complete": "stream progress",
    "shutdown_complete": "stream progress",
    "view_image_tool_call": "tool progress",
    "dynamic_tool_call_request": "tool progress",
    "collab_agent_interaction_end": "tool progress",
    "collab_waiting_end": "tool progress",
    "collab_resume_end": "tool progress",
    "ghost_snapshot": "ghost snapshots",
    "additional_tools": "tool lists",
    "compaction": "encrypted compactions",
    "context_compaction": "encrypted compactions",
    "compaction_summary": "encrypted compactions",
}
# Events that end a tool which the model's items tell of as well, with more in them.
ENDS = (
    "exec_command_end",
    "patch_apply_end",
    "mcp_tool_call_end",
    "web_search_end",
    "image_generation_end",
    "dynamic_tool_call_response",
)


def unwrapped(row: Row) -> tuple[str, Row]:
    """Return what a row is and its content, of versions too whose rows are the bare content."""
    kind = text_of(row, "type")
    if isinstance(row.get("payload"), dict):
        return kind or "", table_of(row, "payload")
    if kind is None and "record_type" in row:
        return text_of(row, "record_type") or "", row
    if kind is None and "role" not in row and "id" in row:
        return "session_meta", row
    if kind is None or kind in CALLS or kind in OUTPUTS or kind in ("message", "reasoning"):
        return "response_item", row
    return kind, row
