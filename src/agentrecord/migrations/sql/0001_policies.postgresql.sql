ALTER TABLE agentrecord.ar_activity_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_activity_days FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_activity_days USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_agents ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_agents FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_agents USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
);

ALTER TABLE agentrecord.ar_arrivals ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_arrivals FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_arrivals USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_audit_entries ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_audit_entries FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_audit_entries USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
);

ALTER TABLE agentrecord.ar_audit_heads ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_audit_heads FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_audit_heads USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
);

ALTER TABLE agentrecord.ar_budgets ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_budgets FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_budgets USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid) OR user_uuid IS NULL)
);

ALTER TABLE agentrecord.ar_call_reservations ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_call_reservations FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_call_reservations USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_call_tools ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_call_tools FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_call_tools USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_contents ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_contents FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_contents USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_error_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_error_days FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_error_days USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_error_groups ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_error_groups FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_error_groups USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
);

ALTER TABLE agentrecord.ar_events ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_events FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_events USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_imported_files ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_imported_files FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_imported_files USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
);

ALTER TABLE agentrecord.ar_latency_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_latency_days FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_latency_days USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
);

ALTER TABLE agentrecord.ar_llm_calls ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_llm_calls FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_llm_calls USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_prompts ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_prompts FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_prompts USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_relations ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_relations FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_relations USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
);

ALTER TABLE agentrecord.ar_runs ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_runs FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_runs USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_serials ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_serials FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_serials USING (
	project_id IN ((SELECT nullif(current_setting('app.project', true), '')::uuid), '00000000-0000-0000-0000-000000000000') AND (SELECT nullif(current_setting('app.project', true), '')::uuid) IS NOT NULL
);

ALTER TABLE agentrecord.ar_tool_calls ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_tool_calls FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_tool_calls USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_tool_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_tool_days FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_tool_days USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_tool_usage_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_tool_usage_days FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_tool_usage_days USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_tool_usage_hours ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_tool_usage_hours FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_tool_usage_hours USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_traces ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_traces FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_traces USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_unreadable_lines ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_unreadable_lines FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_unreadable_lines USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
);

ALTER TABLE agentrecord.ar_usage_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_usage_days FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_usage_days USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_usage_hours ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_usage_hours FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_usage_hours USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_agent_versions ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_agent_versions FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_agent_versions USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
);

ALTER TABLE agentrecord.ar_api_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_api_keys FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_api_keys USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

CREATE POLICY looked_up ON agentrecord.ar_api_keys FOR SELECT USING (true);

ALTER TABLE agentrecord.ar_errors ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_errors FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_errors USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_users ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_users FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_users USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR id = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_memberships ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_memberships FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_memberships USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

CREATE POLICY looked_up ON agentrecord.ar_memberships FOR SELECT USING (true);

ALTER TABLE agentrecord.ar_sessions ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_sessions FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_sessions USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_coding_sessions ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_coding_sessions FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_coding_sessions USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR EXISTS (
		SELECT FROM agentrecord.ar_sessions AS parent
		WHERE parent.project_id = ar_coding_sessions.project_id AND parent.id = ar_coding_sessions.session_uuid))
);

ALTER TABLE agentrecord.ar_messages ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_messages FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_messages USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_session_metrics ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_session_metrics FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_session_metrics USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR EXISTS (
		SELECT FROM agentrecord.ar_sessions AS parent
		WHERE parent.project_id = ar_session_metrics.project_id AND parent.id = ar_session_metrics.session_uuid))
);

ALTER TABLE agentrecord.ar_turns ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_turns FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_turns USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);

ALTER TABLE agentrecord.ar_message_revisions ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_message_revisions FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_message_revisions USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR EXISTS (
		SELECT FROM agentrecord.ar_messages AS parent
		WHERE parent.project_id = ar_message_revisions.project_id AND parent.id = ar_message_revisions.message_uuid))
);

ALTER TABLE agentrecord.ar_turn_events ENABLE ROW LEVEL SECURITY;

ALTER TABLE agentrecord.ar_turn_events FORCE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_turn_events USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR user_uuid = (SELECT nullif(current_setting('app.user', true), '')::uuid))
);
