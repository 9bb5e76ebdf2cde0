-- Full-text search: one row per indexed message, beside the message, so that purging removes it in one place.
CREATE TABLE agentrecord.ar_search (
	project_id UUID NOT NULL,
	message_uuid UUID NOT NULL,
	words TSVECTOR NOT NULL,
	CONSTRAINT pk_ar_search PRIMARY KEY (project_id, message_uuid)
);

CREATE INDEX ix_ar_search_words ON agentrecord.ar_search USING gin (words);

ALTER TABLE agentrecord.ar_search ENABLE ROW LEVEL SECURITY;

CREATE POLICY in_scope ON agentrecord.ar_search USING (
	project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid)
	AND ((SELECT nullif(current_setting('app.user', true), '')::uuid) IS NULL OR EXISTS (
		SELECT FROM agentrecord.ar_messages AS parent
		WHERE parent.project_id = ar_search.project_id AND parent.id = ar_search.message_uuid))
);

-- Searched through this view, because @@ may not use an index beneath a policy: it is not leakproof. The view reads with
-- its owner's rights, so the policy is not FORCEd on the owner, and the view itself keeps within the project.
CREATE VIEW agentrecord.ar_search_in_project AS
SELECT project_id, message_uuid, words FROM agentrecord.ar_search
WHERE project_id = (SELECT nullif(current_setting('app.project', true), '')::uuid);

CREATE SCHEMA IF NOT EXISTS system;

CREATE SCHEMA IF NOT EXISTS agent_sdk;

CREATE VIEW system.projects WITH (security_invoker = true) AS
SELECT serial AS id, name, description,
	to_timestamp(created_at / 1000000.0) AS created_at
FROM agentrecord.ar_projects;

CREATE VIEW system.hosts WITH (security_invoker = true) AS
SELECT serial AS id, name, base_url,
	to_timestamp(created_at / 1000000.0) AS created_at
FROM agentrecord.ar_hosts;

CREATE VIEW system.models WITH (security_invoker = true) AS
SELECT m.serial AS id, m.name AS name, h.serial AS host_id,
	(SELECT p.input_rate / 1e12::float8 FROM agentrecord.ar_prices AS p
		WHERE p.model = m.name AND (p.host IS NULL OR p.host = h.name)
			AND p.price_project_id IS NULL AND p.retired_at IS NULL
		ORDER BY (p.source = 'user') DESC, coalesce(p.effective_from, 0) DESC LIMIT 1) AS input_cost_per_1k,
	(SELECT p.output_rate / 1e12::float8 FROM agentrecord.ar_prices AS p
		WHERE p.model = m.name AND (p.host IS NULL OR p.host = h.name)
			AND p.price_project_id IS NULL AND p.retired_at IS NULL
		ORDER BY (p.source = 'user') DESC, coalesce(p.effective_from, 0) DESC LIMIT 1) AS output_cost_per_1k,
	to_timestamp(m.created_at / 1000000.0) AS created_at
FROM agentrecord.ar_models AS m JOIN agentrecord.ar_hosts AS h ON h.id = m.host_uuid;

CREATE VIEW system.token_usage WITH (security_invoker = true) AS
SELECT c.serial AS id,
	to_timestamp(c.timestamp / 1000000.0) AS timestamp,
	p.serial AS project_id, m.serial AS model_id,
	coalesce(c.input_tokens, 0) + coalesce(c.cache_read_tokens, 0)
		+ coalesce(c.cache_write_5m_tokens, 0) + coalesce(c.cache_write_1h_tokens, 0) AS input_tokens,
	coalesce(c.output_tokens, 0) AS output_tokens,
	coalesce(c.input_tokens, 0) + coalesce(c.cache_read_tokens, 0)
		+ coalesce(c.cache_write_5m_tokens, 0) + coalesce(c.cache_write_1h_tokens, 0)
		+ coalesce(c.output_tokens, 0) + coalesce(c.unclassified_tokens, 0) AS total_tokens,
	c.cost_nanos / 1e9::float8 AS cost_usd, c.request_id AS request_id, u.external_id AS user_id,
	to_timestamp(c.created_at / 1000000.0) AS created_at
FROM agentrecord.ar_llm_calls AS c
	JOIN agentrecord.ar_projects AS p ON p.id = c.project_id
	JOIN agentrecord.ar_models AS m ON m.id = c.model_uuid
	JOIN agentrecord.ar_users AS u ON u.project_id = c.project_id AND u.id = c.user_uuid;

CREATE VIEW system.claude_code_sessions WITH (security_invoker = true) AS
SELECT s.serial AS id, s.session_id AS session_id, c.chat_id AS chat_id, c.username AS username,
	c.tool_name AS tool_name, coalesce(c.working_directory, '') AS working_directory,
	coalesce(c.initial_task, '') AS initial_task, c.task_count AS task_count,
	to_timestamp(s.last_activity_at / 1000000.0) AS last_activity,
	to_timestamp(s.created_at / 1000000.0) AS created_at,
	s.is_active AS is_active, c.session_metadata AS session_metadata
FROM agentrecord.ar_coding_sessions AS c
	JOIN agentrecord.ar_sessions AS s ON s.project_id = c.project_id AND s.id = c.session_uuid
WHERE s.deleted_at IS NULL;

CREATE VIEW agent_sdk.agent_runs WITH (security_invoker = true) AS
SELECT r.serial AS id, coalesce(a.agent_id, '') AS agent_id, r.run_id AS run_id,
	coalesce(r.agent_name, '') AS agent_name, coalesce(r.objective, '') AS objective,
	r.additional_context AS additional_context,
	to_timestamp(r.started_at / 1000000.0) AS started_at,
	to_timestamp(r.finished_at / 1000000.0) AS finished_at,
	r.total_iterations AS total_iterations, r.final_synthesis_output AS final_synthesis_output,
	r.execution_history AS execution_history, r.status AS status, r.error_message AS error_message,
	r.metadata AS metadata,
	to_timestamp(r.created_at / 1000000.0) AS created_at,
	to_timestamp(r.updated_at / 1000000.0) AS updated_at
FROM agentrecord.ar_runs AS r LEFT JOIN agentrecord.ar_agents AS a ON a.project_id = r.project_id AND a.id = r.agent_uuid;

CREATE VIEW agent_sdk.agent_run_events WITH (security_invoker = true) AS
SELECT e.serial AS id, coalesce(a.agent_id, '') AS agent_id, coalesce(r.run_id, e.run_ref) AS run_id,
	coalesce(e.agent_name, '') AS agent_name,
	to_timestamp(e.timestamp / 1000000.0) AS timestamp,
	e.event_type AS event_type, e.data AS data,
	to_timestamp(e.created_at / 1000000.0) AS created_at
FROM agentrecord.ar_events AS e
	LEFT JOIN agentrecord.ar_runs AS r ON r.project_id = e.project_id AND r.id = e.run_uuid
	LEFT JOIN agentrecord.ar_agents AS a ON a.project_id = e.project_id AND a.id = e.agent_uuid;

CREATE VIEW agent_sdk.agent_llm_usage WITH (security_invoker = true) AS
SELECT c.serial AS id, a.agent_id AS agent_id, coalesce(r.run_id, c.run_ref) AS run_id,
	h.name AS provider, m.name AS model, coalesce(x.content, '') AS prompt,
	coalesce(c.prompt_length, 0) AS prompt_length, c.input_params AS input_params,
	c.input_tokens + coalesce(c.cache_read_tokens, 0) + coalesce(c.cache_write_5m_tokens, 0)
		+ coalesce(c.cache_write_1h_tokens, 0) AS input_tokens,
	c.output_tokens AS output_tokens, c.response_content AS response_content,
	c.response_length AS response_length, c.usage_metrics AS usage_metrics, c.status AS status,
	c.error_message AS error_message, c.latency_ms AS latency_ms,
	to_timestamp(c.created_at / 1000000.0) AS created_at
FROM agentrecord.ar_llm_calls AS c
	JOIN agentrecord.ar_models AS m ON m.id = c.model_uuid
	JOIN agentrecord.ar_hosts AS h ON h.id = m.host_uuid
	LEFT JOIN agentrecord.ar_agents AS a ON a.project_id = c.project_id AND a.id = c.agent_uuid
	LEFT JOIN agentrecord.ar_runs AS r ON r.project_id = c.project_id AND r.id = c.run_uuid
	LEFT JOIN agentrecord.ar_prompts AS q ON q.project_id = c.project_id AND q.id = c.prompt_uuid AND q.depth = 1
	LEFT JOIN agentrecord.ar_contents AS x ON x.project_id = q.project_id AND x.id = q.content_uuid;
