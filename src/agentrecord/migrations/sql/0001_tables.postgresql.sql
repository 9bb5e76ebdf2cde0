CREATE TABLE agentrecord.ar_accounts (
	id UUID NOT NULL,
	email TEXT NOT NULL,
	name TEXT,
	password_hash TEXT,
	created_at BIGINT NOT NULL,
	disabled_at BIGINT,
	CONSTRAINT pk_ar_accounts PRIMARY KEY (id),
	CONSTRAINT uq_ar_accounts_email UNIQUE (email)
);

CREATE TABLE agentrecord.ar_activity_days (
	project_id UUID NOT NULL,
	day BIGINT NOT NULL,
	user_uuid UUID NOT NULL,
	agent_uuid UUID NOT NULL,
	session_count BIGINT DEFAULT 0 NOT NULL,
	failed_sessions BIGINT DEFAULT 0 NOT NULL,
	message_count BIGINT DEFAULT 0 NOT NULL,
	run_count BIGINT DEFAULT 0 NOT NULL,
	failed_runs BIGINT DEFAULT 0 NOT NULL,
	completed_runs BIGINT DEFAULT 0 NOT NULL,
	run_iterations BIGINT DEFAULT 0 NOT NULL,
	tool_calls BIGINT DEFAULT 0 NOT NULL,
	tool_errors BIGINT DEFAULT 0 NOT NULL,
	error_count BIGINT DEFAULT 0 NOT NULL,
	satisfaction_sum DOUBLE PRECISION DEFAULT 0 NOT NULL,
	satisfaction_count BIGINT DEFAULT 0 NOT NULL,
	CONSTRAINT pk_ar_activity_days PRIMARY KEY (project_id, day, user_uuid, agent_uuid)
);

CREATE TABLE agentrecord.ar_agents (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	serial BIGINT,
	agent_id TEXT NOT NULL,
	name TEXT,
	description TEXT,
	instructions TEXT,
	learning_mode TEXT,
	training_status TEXT,
	specializations TEXT DEFAULT '[]' NOT NULL,
	total_sessions BIGINT DEFAULT 0 NOT NULL,
	created_at BIGINT NOT NULL,
	last_active_at BIGINT,
	CONSTRAINT pk_ar_agents PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_agents_project_id_agent_id UNIQUE (project_id, agent_id)
);

CREATE TABLE agentrecord.ar_arrivals (
	project_id UUID NOT NULL,
	place BIGINT NOT NULL,
	part BIGINT NOT NULL,
	user_uuid UUID NOT NULL,
	at BIGINT NOT NULL,
	refs BYTEA NOT NULL,
	CONSTRAINT pk_ar_arrivals PRIMARY KEY (project_id, place, part)
);

CREATE TABLE agentrecord.ar_audit_entries (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	sequence BIGINT NOT NULL,
	actor_kind TEXT NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	object_kind TEXT NOT NULL,
	object_id TEXT NOT NULL,
	details TEXT,
	origin TEXT,
	created_at BIGINT NOT NULL,
	salt BYTEA NOT NULL,
	content_hash BYTEA NOT NULL,
	chain_hash BYTEA NOT NULL,
	CONSTRAINT pk_ar_audit_entries PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_audit_entries_project_id_sequence UNIQUE (project_id, sequence)
);

CREATE INDEX ix_ar_audit_entries_object ON agentrecord.ar_audit_entries (project_id, object_kind, object_id, sequence);

CREATE TABLE agentrecord.ar_audit_heads (
	project_id UUID NOT NULL,
	last_sequence BIGINT NOT NULL,
	chain_hash BYTEA NOT NULL,
	CONSTRAINT pk_ar_audit_heads PRIMARY KEY (project_id)
);

CREATE TABLE agentrecord.ar_budgets (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	name TEXT NOT NULL,
	user_uuid UUID,
	agent_uuid UUID,
	period TEXT NOT NULL,
	limit_nanos BIGINT NOT NULL,
	allow_unpriced BOOLEAN NOT NULL,
	is_active BOOLEAN NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_budgets PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_budgets_project_id_name UNIQUE (project_id, name)
);

CREATE TABLE agentrecord.ar_call_reservations (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	model TEXT NOT NULL,
	host TEXT,
	user_uuid UUID NOT NULL,
	agent_uuid UUID,
	run_uuid UUID,
	session_uuid UUID,
	amount_nanos BIGINT,
	input_tokens BIGINT NOT NULL,
	max_output_tokens BIGINT,
	created_at BIGINT NOT NULL,
	held_day BIGINT,
	CONSTRAINT pk_ar_call_reservations PRIMARY KEY (project_id, id)
);

CREATE INDEX ix_ar_call_reservations_run ON agentrecord.ar_call_reservations (project_id, run_uuid);

CREATE TABLE agentrecord.ar_call_tools (
	project_id UUID NOT NULL,
	llm_call_uuid UUID NOT NULL,
	tool_name TEXT NOT NULL,
	user_uuid UUID NOT NULL,
	CONSTRAINT pk_ar_call_tools PRIMARY KEY (project_id, llm_call_uuid, tool_name)
);

CREATE TABLE agentrecord.ar_contents (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	user_uuid UUID NOT NULL,
	content TEXT,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_contents PRIMARY KEY (project_id, id)
);

CREATE TABLE agentrecord.ar_error_days (
	project_id UUID NOT NULL,
	group_uuid UUID NOT NULL,
	day BIGINT NOT NULL,
	user_uuid UUID NOT NULL,
	agent_uuid UUID NOT NULL,
	count BIGINT DEFAULT 0 NOT NULL,
	CONSTRAINT pk_ar_error_days PRIMARY KEY (project_id, group_uuid, day, user_uuid, agent_uuid)
);

CREATE TABLE agentrecord.ar_error_groups (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	fingerprint TEXT NOT NULL,
	kind TEXT DEFAULT 'agent' NOT NULL,
	error_type TEXT NOT NULL,
	error_message TEXT NOT NULL,
	tool_name TEXT,
	count BIGINT DEFAULT 0 NOT NULL,
	first_seen_at BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL,
	resolved_at BIGINT,
	regressed_at BIGINT,
	CONSTRAINT pk_ar_error_groups PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_error_groups_project_id_fingerprint UNIQUE (project_id, fingerprint)
);

CREATE TABLE agentrecord.ar_events (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	serial BIGINT,
	event_type TEXT NOT NULL,
	user_uuid UUID NOT NULL,
	agent_uuid UUID,
	agent_name TEXT,
	run_uuid UUID,
	run_ref TEXT,
	session_uuid UUID,
	session_ref TEXT,
	session_sequence BIGINT,
	run_sequence BIGINT,
	parent_event_uuid UUID,
	trace_uuid UUID,
	span_id TEXT,
	piece_uuid UUID,
	detached_from TEXT,
	data TEXT,
	duration_ms BIGINT,
	timestamp BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_events PRIMARY KEY (project_id, id)
);

CREATE INDEX ix_ar_events_detached ON agentrecord.ar_events (project_id, run_uuid) WHERE detached_from IS NOT NULL;

CREATE INDEX ix_ar_events_run ON agentrecord.ar_events (project_id, run_uuid, run_sequence);

CREATE INDEX ix_ar_events_run_ref ON agentrecord.ar_events (project_id, run_ref) WHERE run_ref IS NOT NULL;

CREATE INDEX ix_ar_events_session ON agentrecord.ar_events (project_id, session_uuid, session_sequence);

CREATE INDEX ix_ar_events_spans ON agentrecord.ar_events (project_id, timestamp) WHERE trace_uuid IS NOT NULL;

CREATE INDEX ix_ar_events_trace ON agentrecord.ar_events (project_id, trace_uuid) WHERE trace_uuid IS NOT NULL;

CREATE TABLE agentrecord.ar_hosts (
	id UUID NOT NULL,
	serial BIGINT,
	name TEXT NOT NULL,
	base_url TEXT,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_hosts PRIMARY KEY (id),
	CONSTRAINT uq_ar_hosts_name UNIQUE (name)
);

CREATE TABLE agentrecord.ar_imported_files (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	source TEXT NOT NULL,
	owner TEXT NOT NULL,
	path TEXT NOT NULL,
	size_bytes BIGINT DEFAULT 0 NOT NULL,
	modified_ns BIGINT DEFAULT 0 NOT NULL,
	fingerprint TEXT NOT NULL,
	facts BIGINT DEFAULT 0 NOT NULL,
	unreadable BIGINT DEFAULT 0 NOT NULL,
	imported_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_imported_files PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_imported_files_project_id_source_owner_path UNIQUE (project_id, source, owner, path)
);

CREATE TABLE agentrecord.ar_latency_days (
	project_id UUID NOT NULL,
	day BIGINT NOT NULL,
	agent_uuid UUID NOT NULL,
	model_uuid UUID NOT NULL,
	bucket BIGINT NOT NULL,
	calls BIGINT DEFAULT 0 NOT NULL,
	CONSTRAINT pk_ar_latency_days PRIMARY KEY (project_id, day, agent_uuid, model_uuid, bucket)
);

CREATE TABLE agentrecord.ar_llm_calls (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	serial BIGINT,
	user_uuid UUID NOT NULL,
	agent_uuid UUID,
	agent_version_uuid UUID,
	session_uuid UUID,
	session_ref TEXT,
	run_uuid UUID,
	run_ref TEXT,
	message_uuid UUID,
	model_uuid UUID NOT NULL,
	is_subagent BOOLEAN NOT NULL,
	dedup_key TEXT,
	request_id TEXT,
	prompt_uuid UUID,
	prompt_length BIGINT,
	input_params TEXT,
	response_content TEXT,
	response_length BIGINT,
	input_tokens BIGINT,
	cache_read_tokens BIGINT,
	cache_write_5m_tokens BIGINT,
	cache_write_1h_tokens BIGINT,
	output_tokens BIGINT,
	reasoning_tokens BIGINT,
	unclassified_tokens BIGINT,
	usage_metrics TEXT,
	status TEXT NOT NULL,
	error_message TEXT,
	latency_ms BIGINT,
	time_to_first_token_ms BIGINT,
	cost_nanos BIGINT,
	cost_source TEXT NOT NULL,
	price_uuid UUID,
	origin TEXT NOT NULL,
	timestamp BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_llm_calls PRIMARY KEY (project_id, id)
);

CREATE INDEX ix_ar_llm_calls_agent ON agentrecord.ar_llm_calls (project_id, agent_uuid, timestamp);

CREATE INDEX ix_ar_llm_calls_failed ON agentrecord.ar_llm_calls (project_id, status, timestamp, user_uuid, cost_nanos, is_subagent) WHERE status = 'error';

CREATE INDEX ix_ar_llm_calls_outside ON agentrecord.ar_llm_calls (project_id, session_uuid, timestamp) WHERE run_uuid IS NULL;

CREATE INDEX ix_ar_llm_calls_run ON agentrecord.ar_llm_calls (project_id, run_uuid, timestamp) WHERE run_uuid IS NOT NULL;

CREATE INDEX ix_ar_llm_calls_run_ref ON agentrecord.ar_llm_calls (project_id, run_ref) WHERE run_ref IS NOT NULL;

CREATE INDEX ix_ar_llm_calls_session ON agentrecord.ar_llm_calls (project_id, session_uuid);

CREATE INDEX ix_ar_llm_calls_timestamp ON agentrecord.ar_llm_calls (project_id, timestamp);

CREATE UNIQUE INDEX uq_ar_llm_calls_dedup_key ON agentrecord.ar_llm_calls (project_id, dedup_key) WHERE dedup_key IS NOT NULL;

CREATE TABLE agentrecord.ar_prices (
	id UUID NOT NULL,
	price_project_id UUID,
	model TEXT NOT NULL,
	host TEXT,
	rates TEXT NOT NULL,
	tiers TEXT NOT NULL,
	input_rate BIGINT,
	output_rate BIGINT,
	effective_from BIGINT,
	source TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	retired_at BIGINT,
	CONSTRAINT pk_ar_prices PRIMARY KEY (id)
);

CREATE INDEX ix_ar_prices_model ON agentrecord.ar_prices (model);

CREATE TABLE agentrecord.ar_projects (
	id UUID NOT NULL,
	serial BIGINT,
	name TEXT NOT NULL,
	description TEXT,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_projects PRIMARY KEY (id),
	CONSTRAINT uq_ar_projects_name UNIQUE (name)
);

CREATE TABLE agentrecord.ar_prompts (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	user_uuid UUID NOT NULL,
	parent_uuid UUID,
	depth BIGINT NOT NULL,
	role TEXT,
	message_uuid UUID,
	revision BIGINT,
	content_uuid UUID,
	CONSTRAINT pk_ar_prompts PRIMARY KEY (project_id, id)
);

CREATE TABLE agentrecord.ar_relations (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	kind TEXT NOT NULL,
	from_kind TEXT NOT NULL,
	from_uuid UUID NOT NULL,
	to_kind TEXT NOT NULL,
	to_uuid UUID NOT NULL,
	metadata TEXT,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_relations PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_relations_project_id_from_uuid_kind_to_uuid UNIQUE (project_id, from_uuid, kind, to_uuid)
);

CREATE INDEX ix_ar_relations_to ON agentrecord.ar_relations (project_id, to_uuid);

CREATE TABLE agentrecord.ar_runs (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	serial BIGINT,
	run_id TEXT NOT NULL,
	user_uuid UUID NOT NULL,
	agent_uuid UUID,
	agent_name TEXT,
	agent_version_uuid UUID,
	objective TEXT,
	additional_context TEXT,
	status TEXT NOT NULL,
	status_reason TEXT,
	error_message TEXT,
	total_iterations BIGINT DEFAULT 0 NOT NULL,
	reported TEXT,
	final_synthesis_output TEXT,
	execution_history TEXT,
	session_uuid UUID,
	parent_uuid UUID,
	trace_id TEXT,
	metadata TEXT,
	last_event_sequence BIGINT DEFAULT 0 NOT NULL,
	tool_call_count BIGINT DEFAULT 0 NOT NULL,
	tool_error_count BIGINT DEFAULT 0 NOT NULL,
	child_count BIGINT DEFAULT 0 NOT NULL,
	calls BIGINT DEFAULT 0 NOT NULL,
	failed_calls BIGINT DEFAULT 0 NOT NULL,
	unpriced_calls BIGINT DEFAULT 0 NOT NULL,
	uncounted_calls BIGINT DEFAULT 0 NOT NULL,
	input_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_read_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_write_5m_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_write_1h_tokens BIGINT DEFAULT 0 NOT NULL,
	output_tokens BIGINT DEFAULT 0 NOT NULL,
	reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
	unclassified_tokens BIGINT DEFAULT 0 NOT NULL,
	cost_nanos BIGINT DEFAULT 0 NOT NULL,
	latency_ms_sum BIGINT DEFAULT 0 NOT NULL,
	latency_count BIGINT DEFAULT 0 NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	started_at BIGINT,
	finished_at BIGINT,
	heartbeat_at BIGINT,
	alive_until BIGINT,
	CONSTRAINT pk_ar_runs PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_runs_project_id_run_id UNIQUE (project_id, run_id)
);

CREATE INDEX ix_ar_runs_agent ON agentrecord.ar_runs (project_id, agent_uuid, created_at, id);

CREATE INDEX ix_ar_runs_alive ON agentrecord.ar_runs (project_id, alive_until) WHERE alive_until IS NOT NULL;

CREATE INDEX ix_ar_runs_below ON agentrecord.ar_runs (project_id, started_at, created_at, status, user_uuid) WHERE parent_uuid IS NOT NULL;

CREATE INDEX ix_ar_runs_created ON agentrecord.ar_runs (project_id, created_at, id);

CREATE INDEX ix_ar_runs_parent ON agentrecord.ar_runs (project_id, parent_uuid);

CREATE INDEX ix_ar_runs_reason ON agentrecord.ar_runs (project_id, status_reason, started_at) WHERE status_reason IS NOT NULL;

CREATE INDEX ix_ar_runs_session ON agentrecord.ar_runs (project_id, session_uuid);

CREATE INDEX ix_ar_runs_started ON agentrecord.ar_runs (project_id, started_at, id);

CREATE INDEX ix_ar_runs_status ON agentrecord.ar_runs (project_id, status);

CREATE INDEX ix_ar_runs_version ON agentrecord.ar_runs (project_id, agent_version_uuid, created_at, id, status, started_at, agent_uuid, user_uuid) WHERE agent_version_uuid IS NOT NULL;

CREATE TABLE agentrecord.ar_schema (
	version BIGINT NOT NULL,
	name TEXT NOT NULL,
	applied_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_schema PRIMARY KEY (version)
);

CREATE TABLE agentrecord.ar_serials (
	project_id UUID NOT NULL,
	table_name TEXT NOT NULL,
	next_serial BIGINT NOT NULL,
	CONSTRAINT pk_ar_serials PRIMARY KEY (project_id, table_name)
);

CREATE TABLE agentrecord.ar_settings (
	key TEXT NOT NULL,
	value BYTEA NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_settings PRIMARY KEY (key)
);

CREATE TABLE agentrecord.ar_sign_in_attempts (
	subject TEXT NOT NULL,
	failures BIGINT NOT NULL,
	last_at BIGINT NOT NULL,
	locked_until BIGINT,
	CONSTRAINT pk_ar_sign_in_attempts PRIMARY KEY (subject)
);

CREATE INDEX ix_ar_sign_in_attempts_last ON agentrecord.ar_sign_in_attempts (last_at);

CREATE TABLE agentrecord.ar_tool_calls (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	serial BIGINT,
	tool_name TEXT NOT NULL,
	call_ref TEXT,
	user_uuid UUID NOT NULL,
	agent_uuid UUID,
	arguments TEXT,
	result TEXT,
	status TEXT NOT NULL,
	error_message TEXT,
	session_uuid UUID,
	run_uuid UUID,
	message_uuid UUID,
	result_message_uuid UUID,
	started_at BIGINT,
	finished_at BIGINT,
	duration_ms BIGINT,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_tool_calls PRIMARY KEY (project_id, id)
);

CREATE INDEX ix_ar_tool_calls_failed ON agentrecord.ar_tool_calls (project_id, status, started_at, id, user_uuid) WHERE status = 'error';

CREATE INDEX ix_ar_tool_calls_outside ON agentrecord.ar_tool_calls (project_id, session_uuid, started_at) WHERE run_uuid IS NULL;

CREATE INDEX ix_ar_tool_calls_run ON agentrecord.ar_tool_calls (project_id, run_uuid, started_at) WHERE run_uuid IS NOT NULL;

CREATE INDEX ix_ar_tool_calls_session ON agentrecord.ar_tool_calls (project_id, session_uuid, call_ref);

CREATE TABLE agentrecord.ar_tool_days (
	project_id UUID NOT NULL,
	day BIGINT NOT NULL,
	user_uuid UUID NOT NULL,
	agent_uuid UUID NOT NULL,
	tool_name TEXT NOT NULL,
	calls BIGINT DEFAULT 0 NOT NULL,
	errors BIGINT DEFAULT 0 NOT NULL,
	duration_ms_sum BIGINT DEFAULT 0 NOT NULL,
	duration_count BIGINT DEFAULT 0 NOT NULL,
	CONSTRAINT pk_ar_tool_days PRIMARY KEY (project_id, day, user_uuid, agent_uuid, tool_name)
);

CREATE TABLE agentrecord.ar_tool_usage_days (
	project_id UUID NOT NULL,
	bucket BIGINT NOT NULL,
	user_uuid UUID NOT NULL,
	agent_uuid UUID NOT NULL,
	agent_version_uuid UUID NOT NULL,
	model_uuid UUID NOT NULL,
	is_subagent BOOLEAN NOT NULL,
	calls BIGINT DEFAULT 0 NOT NULL,
	failed_calls BIGINT DEFAULT 0 NOT NULL,
	unpriced_calls BIGINT DEFAULT 0 NOT NULL,
	uncounted_calls BIGINT DEFAULT 0 NOT NULL,
	input_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_read_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_write_5m_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_write_1h_tokens BIGINT DEFAULT 0 NOT NULL,
	output_tokens BIGINT DEFAULT 0 NOT NULL,
	reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
	unclassified_tokens BIGINT DEFAULT 0 NOT NULL,
	cost_nanos BIGINT DEFAULT 0 NOT NULL,
	latency_ms_sum BIGINT DEFAULT 0 NOT NULL,
	latency_count BIGINT DEFAULT 0 NOT NULL,
	first_at BIGINT NOT NULL,
	last_at BIGINT NOT NULL,
	cut TEXT NOT NULL,
	tool_name TEXT NOT NULL,
	once_calls BIGINT DEFAULT 0 NOT NULL,
	once_failed_calls BIGINT DEFAULT 0 NOT NULL,
	once_unpriced_calls BIGINT DEFAULT 0 NOT NULL,
	once_uncounted_calls BIGINT DEFAULT 0 NOT NULL,
	once_latency_ms_sum BIGINT DEFAULT 0 NOT NULL,
	once_latency_count BIGINT DEFAULT 0 NOT NULL,
	CONSTRAINT pk_ar_tool_usage_days PRIMARY KEY (project_id, cut, user_uuid, tool_name, bucket, model_uuid, agent_uuid, agent_version_uuid, is_subagent)
);

CREATE TABLE agentrecord.ar_tool_usage_hours (
	project_id UUID NOT NULL,
	bucket BIGINT NOT NULL,
	user_uuid UUID NOT NULL,
	agent_uuid UUID NOT NULL,
	agent_version_uuid UUID NOT NULL,
	model_uuid UUID NOT NULL,
	is_subagent BOOLEAN NOT NULL,
	calls BIGINT DEFAULT 0 NOT NULL,
	failed_calls BIGINT DEFAULT 0 NOT NULL,
	unpriced_calls BIGINT DEFAULT 0 NOT NULL,
	uncounted_calls BIGINT DEFAULT 0 NOT NULL,
	input_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_read_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_write_5m_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_write_1h_tokens BIGINT DEFAULT 0 NOT NULL,
	output_tokens BIGINT DEFAULT 0 NOT NULL,
	reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
	unclassified_tokens BIGINT DEFAULT 0 NOT NULL,
	cost_nanos BIGINT DEFAULT 0 NOT NULL,
	latency_ms_sum BIGINT DEFAULT 0 NOT NULL,
	latency_count BIGINT DEFAULT 0 NOT NULL,
	first_at BIGINT NOT NULL,
	last_at BIGINT NOT NULL,
	cut TEXT NOT NULL,
	tool_name TEXT NOT NULL,
	once_calls BIGINT DEFAULT 0 NOT NULL,
	once_failed_calls BIGINT DEFAULT 0 NOT NULL,
	once_unpriced_calls BIGINT DEFAULT 0 NOT NULL,
	once_uncounted_calls BIGINT DEFAULT 0 NOT NULL,
	once_latency_ms_sum BIGINT DEFAULT 0 NOT NULL,
	once_latency_count BIGINT DEFAULT 0 NOT NULL,
	CONSTRAINT pk_ar_tool_usage_hours PRIMARY KEY (project_id, cut, bucket, tool_name, model_uuid, user_uuid, agent_uuid, agent_version_uuid, is_subagent)
);

CREATE TABLE agentrecord.ar_traces (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	trace_id TEXT NOT NULL,
	user_uuid UUID NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_traces PRIMARY KEY (project_id, id)
);

CREATE INDEX ix_ar_traces_trace ON agentrecord.ar_traces (project_id, trace_id);

CREATE TABLE agentrecord.ar_unreadable_lines (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	source TEXT NOT NULL,
	path TEXT NOT NULL,
	line BIGINT NOT NULL,
	reason TEXT NOT NULL,
	excerpt TEXT NOT NULL,
	was_kept BOOLEAN NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_unreadable_lines PRIMARY KEY (project_id, id)
);

CREATE INDEX ix_ar_unreadable_lines_path ON agentrecord.ar_unreadable_lines (project_id, path);

CREATE TABLE agentrecord.ar_usage_days (
	project_id UUID NOT NULL,
	bucket BIGINT NOT NULL,
	user_uuid UUID NOT NULL,
	agent_uuid UUID NOT NULL,
	agent_version_uuid UUID NOT NULL,
	model_uuid UUID NOT NULL,
	is_subagent BOOLEAN NOT NULL,
	calls BIGINT DEFAULT 0 NOT NULL,
	failed_calls BIGINT DEFAULT 0 NOT NULL,
	unpriced_calls BIGINT DEFAULT 0 NOT NULL,
	uncounted_calls BIGINT DEFAULT 0 NOT NULL,
	input_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_read_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_write_5m_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_write_1h_tokens BIGINT DEFAULT 0 NOT NULL,
	output_tokens BIGINT DEFAULT 0 NOT NULL,
	reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
	unclassified_tokens BIGINT DEFAULT 0 NOT NULL,
	cost_nanos BIGINT DEFAULT 0 NOT NULL,
	latency_ms_sum BIGINT DEFAULT 0 NOT NULL,
	latency_count BIGINT DEFAULT 0 NOT NULL,
	first_at BIGINT NOT NULL,
	last_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_usage_days PRIMARY KEY (project_id, bucket, model_uuid, user_uuid, agent_uuid, agent_version_uuid, is_subagent)
);

CREATE INDEX ix_ar_usage_days_agent ON agentrecord.ar_usage_days (project_id, agent_uuid, bucket);

CREATE INDEX ix_ar_usage_days_model ON agentrecord.ar_usage_days (project_id, model_uuid, bucket);

CREATE INDEX ix_ar_usage_days_user ON agentrecord.ar_usage_days (project_id, user_uuid, bucket);

CREATE INDEX ix_ar_usage_days_version ON agentrecord.ar_usage_days (project_id, agent_version_uuid, model_uuid, bucket);

CREATE TABLE agentrecord.ar_usage_hours (
	project_id UUID NOT NULL,
	bucket BIGINT NOT NULL,
	user_uuid UUID NOT NULL,
	agent_uuid UUID NOT NULL,
	agent_version_uuid UUID NOT NULL,
	model_uuid UUID NOT NULL,
	is_subagent BOOLEAN NOT NULL,
	calls BIGINT DEFAULT 0 NOT NULL,
	failed_calls BIGINT DEFAULT 0 NOT NULL,
	unpriced_calls BIGINT DEFAULT 0 NOT NULL,
	uncounted_calls BIGINT DEFAULT 0 NOT NULL,
	input_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_read_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_write_5m_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_write_1h_tokens BIGINT DEFAULT 0 NOT NULL,
	output_tokens BIGINT DEFAULT 0 NOT NULL,
	reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
	unclassified_tokens BIGINT DEFAULT 0 NOT NULL,
	cost_nanos BIGINT DEFAULT 0 NOT NULL,
	latency_ms_sum BIGINT DEFAULT 0 NOT NULL,
	latency_count BIGINT DEFAULT 0 NOT NULL,
	first_at BIGINT NOT NULL,
	last_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_usage_hours PRIMARY KEY (project_id, bucket, model_uuid, user_uuid, agent_uuid, agent_version_uuid, is_subagent)
);

CREATE TABLE agentrecord.ar_agent_versions (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	serial BIGINT,
	agent_uuid UUID NOT NULL,
	version_number TEXT NOT NULL,
	changes TEXT,
	performance TEXT,
	created_by TEXT,
	is_active BOOLEAN NOT NULL,
	activated_at BIGINT,
	deactivated_at BIGINT,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_agent_versions PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_agent_versions_project_id_agent_uuid_version_number UNIQUE (project_id, agent_uuid, version_number),
	CONSTRAINT fk_ar_agent_versions_project_id_agent_uuid FOREIGN KEY(project_id, agent_uuid) REFERENCES agentrecord.ar_agents (project_id, id)
);

CREATE UNIQUE INDEX uq_ar_agent_versions_active ON agentrecord.ar_agent_versions (project_id, agent_uuid) WHERE is_active;

CREATE TABLE agentrecord.ar_api_keys (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	user_uuid UUID,
	prefix TEXT NOT NULL,
	secret_hash BYTEA NOT NULL,
	name TEXT NOT NULL,
	role TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT,
	last_used_at BIGINT,
	revoked_at BIGINT,
	CONSTRAINT pk_ar_api_keys PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_api_keys_prefix UNIQUE (prefix),
	CONSTRAINT fk_ar_api_keys_project_id FOREIGN KEY(project_id) REFERENCES agentrecord.ar_projects (id)
);

CREATE TABLE agentrecord.ar_errors (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	serial BIGINT,
	group_uuid UUID NOT NULL,
	user_uuid UUID NOT NULL,
	agent_uuid UUID,
	session_uuid UUID,
	run_uuid UUID,
	tool_call_uuid UUID,
	llm_call_uuid UUID,
	kind TEXT DEFAULT 'agent' NOT NULL,
	is_derived BOOLEAN NOT NULL,
	tool_name TEXT,
	error_type TEXT NOT NULL,
	error_message TEXT NOT NULL,
	error_code TEXT,
	stack_trace TEXT,
	context TEXT,
	is_resolved BOOLEAN NOT NULL,
	resolved_at BIGINT,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_errors PRIMARY KEY (project_id, id),
	CONSTRAINT fk_ar_errors_project_id_group_uuid FOREIGN KEY(project_id, group_uuid) REFERENCES agentrecord.ar_error_groups (project_id, id)
);

CREATE INDEX ix_ar_errors_created ON agentrecord.ar_errors (project_id, created_at, id);

CREATE INDEX ix_ar_errors_group ON agentrecord.ar_errors (project_id, group_uuid, created_at, id);

CREATE INDEX ix_ar_errors_llm_call ON agentrecord.ar_errors (project_id, llm_call_uuid) WHERE llm_call_uuid IS NOT NULL;

CREATE INDEX ix_ar_errors_run ON agentrecord.ar_errors (project_id, run_uuid) WHERE run_uuid IS NOT NULL;

CREATE INDEX ix_ar_errors_session ON agentrecord.ar_errors (project_id, session_uuid);

CREATE INDEX ix_ar_errors_told ON agentrecord.ar_errors (project_id, created_at, id) WHERE NOT is_derived;

CREATE INDEX ix_ar_errors_tool_call ON agentrecord.ar_errors (project_id, tool_call_uuid) WHERE tool_call_uuid IS NOT NULL;

CREATE INDEX ix_ar_errors_user ON agentrecord.ar_errors (project_id, user_uuid, group_uuid, created_at);

CREATE TABLE agentrecord.ar_models (
	id UUID NOT NULL,
	serial BIGINT,
	name TEXT NOT NULL,
	host_uuid UUID NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_models PRIMARY KEY (id),
	CONSTRAINT uq_ar_models_host_uuid_name UNIQUE (host_uuid, name),
	CONSTRAINT fk_ar_models_host_uuid FOREIGN KEY(host_uuid) REFERENCES agentrecord.ar_hosts (id)
);

CREATE TABLE agentrecord.ar_sign_ins (
	id UUID NOT NULL,
	project_id UUID NOT NULL,
	account_uuid UUID NOT NULL,
	address TEXT,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	ended_at BIGINT,
	ended_because TEXT,
	CONSTRAINT pk_ar_sign_ins PRIMARY KEY (id),
	CONSTRAINT fk_ar_sign_ins_account_uuid FOREIGN KEY(account_uuid) REFERENCES agentrecord.ar_accounts (id),
	CONSTRAINT fk_ar_sign_ins_project_id FOREIGN KEY(project_id) REFERENCES agentrecord.ar_projects (id)
);

CREATE INDEX ix_ar_sign_ins_account ON agentrecord.ar_sign_ins (account_uuid);

CREATE TABLE agentrecord.ar_users (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	serial BIGINT,
	external_id TEXT NOT NULL,
	name TEXT,
	email TEXT,
	is_admin BOOLEAN NOT NULL,
	created_at BIGINT NOT NULL,
	erased_at BIGINT,
	CONSTRAINT pk_ar_users PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_users_project_id_external_id UNIQUE (project_id, external_id),
	CONSTRAINT fk_ar_users_project_id FOREIGN KEY(project_id) REFERENCES agentrecord.ar_projects (id)
);

CREATE TABLE agentrecord.ar_memberships (
	project_id UUID NOT NULL,
	account_uuid UUID NOT NULL,
	user_uuid UUID NOT NULL,
	role TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_memberships PRIMARY KEY (project_id, account_uuid),
	CONSTRAINT fk_ar_memberships_account_uuid FOREIGN KEY(account_uuid) REFERENCES agentrecord.ar_accounts (id),
	CONSTRAINT fk_ar_memberships_project_id_user_uuid FOREIGN KEY(project_id, user_uuid) REFERENCES agentrecord.ar_users (project_id, id)
);

CREATE INDEX ix_ar_memberships_account ON agentrecord.ar_memberships (account_uuid);

CREATE TABLE agentrecord.ar_refresh_tokens (
	token_hash BYTEA NOT NULL,
	sign_in_uuid UUID NOT NULL,
	created_at BIGINT NOT NULL,
	used_at BIGINT,
	CONSTRAINT pk_ar_refresh_tokens PRIMARY KEY (token_hash),
	CONSTRAINT fk_ar_refresh_tokens_sign_in_uuid FOREIGN KEY(sign_in_uuid) REFERENCES agentrecord.ar_sign_ins (id)
);

CREATE INDEX ix_ar_refresh_tokens_sign_in ON agentrecord.ar_refresh_tokens (sign_in_uuid);

CREATE TABLE agentrecord.ar_sessions (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	serial BIGINT,
	user_uuid UUID NOT NULL,
	session_id TEXT NOT NULL,
	agent_uuid UUID,
	agent_name TEXT,
	agent_instructions TEXT,
	agent_version_uuid UUID,
	title TEXT,
	description TEXT,
	is_active BOOLEAN NOT NULL,
	status TEXT NOT NULL,
	purpose TEXT,
	business_context TEXT,
	tags TEXT DEFAULT '[]' NOT NULL,
	quality_score DOUBLE PRECISION,
	user_satisfaction DOUBLE PRECISION,
	learning_outcomes TEXT,
	source TEXT,
	parent_uuid UUID,
	root_uuid UUID,
	metadata TEXT,
	message_count BIGINT DEFAULT 0 NOT NULL,
	last_sequence BIGINT DEFAULT 0 NOT NULL,
	last_event_sequence BIGINT DEFAULT 0 NOT NULL,
	run_count BIGINT DEFAULT 0 NOT NULL,
	tool_call_count BIGINT DEFAULT 0 NOT NULL,
	tool_error_count BIGINT DEFAULT 0 NOT NULL,
	error_count BIGINT DEFAULT 0 NOT NULL,
	child_count BIGINT DEFAULT 0 NOT NULL,
	calls BIGINT DEFAULT 0 NOT NULL,
	failed_calls BIGINT DEFAULT 0 NOT NULL,
	unpriced_calls BIGINT DEFAULT 0 NOT NULL,
	uncounted_calls BIGINT DEFAULT 0 NOT NULL,
	input_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_read_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_write_5m_tokens BIGINT DEFAULT 0 NOT NULL,
	cache_write_1h_tokens BIGINT DEFAULT 0 NOT NULL,
	output_tokens BIGINT DEFAULT 0 NOT NULL,
	reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
	unclassified_tokens BIGINT DEFAULT 0 NOT NULL,
	cost_nanos BIGINT DEFAULT 0 NOT NULL,
	latency_ms_sum BIGINT DEFAULT 0 NOT NULL,
	latency_count BIGINT DEFAULT 0 NOT NULL,
	subagent_calls BIGINT DEFAULT 0 NOT NULL,
	subagent_failed_calls BIGINT DEFAULT 0 NOT NULL,
	subagent_unpriced_calls BIGINT DEFAULT 0 NOT NULL,
	subagent_uncounted_calls BIGINT DEFAULT 0 NOT NULL,
	subagent_input_tokens BIGINT DEFAULT 0 NOT NULL,
	subagent_cache_read_tokens BIGINT DEFAULT 0 NOT NULL,
	subagent_cache_write_5m_tokens BIGINT DEFAULT 0 NOT NULL,
	subagent_cache_write_1h_tokens BIGINT DEFAULT 0 NOT NULL,
	subagent_output_tokens BIGINT DEFAULT 0 NOT NULL,
	subagent_reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
	subagent_unclassified_tokens BIGINT DEFAULT 0 NOT NULL,
	subagent_cost_nanos BIGINT DEFAULT 0 NOT NULL,
	subagent_latency_ms_sum BIGINT DEFAULT 0 NOT NULL,
	subagent_latency_count BIGINT DEFAULT 0 NOT NULL,
	archived_message_count BIGINT DEFAULT 0 NOT NULL,
	archived_calls BIGINT DEFAULT 0 NOT NULL,
	archived_tokens BIGINT DEFAULT 0 NOT NULL,
	archived_cost_nanos BIGINT DEFAULT 0 NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	last_activity_at BIGINT NOT NULL,
	deleted_at BIGINT,
	CONSTRAINT pk_ar_sessions PRIMARY KEY (project_id, id),
	CONSTRAINT fk_ar_sessions_project_id_user_uuid FOREIGN KEY(project_id, user_uuid) REFERENCES agentrecord.ar_users (project_id, id)
);

CREATE INDEX ix_ar_sessions_activity ON agentrecord.ar_sessions (project_id, last_activity_at, id);

CREATE INDEX ix_ar_sessions_name ON agentrecord.ar_sessions (project_id, session_id);

CREATE INDEX ix_ar_sessions_parent ON agentrecord.ar_sessions (project_id, parent_uuid);

CREATE INDEX ix_ar_sessions_root ON agentrecord.ar_sessions (project_id, root_uuid);

CREATE UNIQUE INDEX uq_ar_sessions_session_id ON agentrecord.ar_sessions (project_id, user_uuid, session_id) WHERE deleted_at IS NULL;

CREATE TABLE agentrecord.ar_coding_sessions (
	project_id UUID NOT NULL,
	session_uuid UUID NOT NULL,
	tool_name TEXT NOT NULL,
	tool_version TEXT,
	working_directory TEXT,
	git_branch TEXT,
	host TEXT,
	username TEXT,
	chat_id TEXT,
	initial_task TEXT,
	task_count BIGINT DEFAULT 0 NOT NULL,
	session_metadata TEXT,
	CONSTRAINT pk_ar_coding_sessions PRIMARY KEY (project_id, session_uuid),
	CONSTRAINT fk_ar_coding_sessions_project_id_session_uuid FOREIGN KEY(project_id, session_uuid) REFERENCES agentrecord.ar_sessions (project_id, id)
);

CREATE TABLE agentrecord.ar_messages (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	serial BIGINT,
	session_uuid UUID NOT NULL,
	user_uuid UUID NOT NULL,
	sequence BIGINT NOT NULL,
	role TEXT NOT NULL,
	content TEXT NOT NULL,
	revision BIGINT DEFAULT 1 NOT NULL,
	message_id TEXT,
	parts TEXT,
	tool_call_id TEXT,
	tool_name TEXT,
	tools_used TEXT DEFAULT '[]' NOT NULL,
	extra_data TEXT,
	metadata TEXT,
	model_used TEXT,
	response_time_ms BIGINT,
	run_uuid UUID,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	deleted_at BIGINT,
	CONSTRAINT pk_ar_messages PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_messages_project_id_session_uuid_sequence UNIQUE (project_id, session_uuid, sequence),
	CONSTRAINT fk_ar_messages_project_id_session_uuid FOREIGN KEY(project_id, session_uuid) REFERENCES agentrecord.ar_sessions (project_id, id)
);

CREATE TABLE agentrecord.ar_session_metrics (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	serial BIGINT,
	session_uuid UUID NOT NULL,
	metric_type TEXT NOT NULL,
	metric_value DOUBLE PRECISION NOT NULL,
	timestamp BIGINT NOT NULL,
	metadata TEXT,
	CONSTRAINT pk_ar_session_metrics PRIMARY KEY (project_id, id),
	CONSTRAINT fk_ar_session_metrics_project_id_session_uuid FOREIGN KEY(project_id, session_uuid) REFERENCES agentrecord.ar_sessions (project_id, id)
);

CREATE TABLE agentrecord.ar_turns (
	project_id UUID NOT NULL,
	id UUID NOT NULL,
	session_uuid UUID NOT NULL,
	user_uuid UUID NOT NULL,
	begun_by_uuid UUID NOT NULL,
	run_uuid UUID NOT NULL,
	status TEXT NOT NULL,
	idempotency_key TEXT,
	request_hash TEXT NOT NULL,
	lease_owner TEXT NOT NULL,
	lease_expires_at BIGINT NOT NULL,
	cancel_requested_at BIGINT,
	watched_at BIGINT,
	last_event BIGINT DEFAULT 0 NOT NULL,
	response TEXT,
	error_type TEXT,
	error_message TEXT,
	created_at BIGINT NOT NULL,
	finished_at BIGINT,
	CONSTRAINT pk_ar_turns PRIMARY KEY (project_id, id),
	CONSTRAINT fk_ar_turns_project_id_session_uuid FOREIGN KEY(project_id, session_uuid) REFERENCES agentrecord.ar_sessions (project_id, id)
);

CREATE INDEX ix_ar_turns_session ON agentrecord.ar_turns (project_id, session_uuid, finished_at);

CREATE UNIQUE INDEX uq_ar_turns_idempotency_key ON agentrecord.ar_turns (project_id, begun_by_uuid, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE UNIQUE INDEX uq_ar_turns_running ON agentrecord.ar_turns (project_id, session_uuid) WHERE finished_at IS NULL;

CREATE TABLE agentrecord.ar_message_revisions (
	project_id UUID NOT NULL,
	message_uuid UUID NOT NULL,
	revision BIGINT NOT NULL,
	content TEXT NOT NULL,
	parts TEXT,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_message_revisions PRIMARY KEY (project_id, message_uuid, revision),
	CONSTRAINT fk_ar_message_revisions_project_id_message_uuid FOREIGN KEY(project_id, message_uuid) REFERENCES agentrecord.ar_messages (project_id, id)
);

CREATE TABLE agentrecord.ar_turn_events (
	project_id UUID NOT NULL,
	turn_uuid UUID NOT NULL,
	user_uuid UUID NOT NULL,
	sequence BIGINT NOT NULL,
	event TEXT NOT NULL,
	data TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_ar_turn_events PRIMARY KEY (project_id, turn_uuid, sequence),
	CONSTRAINT fk_ar_turn_events_project_id_turn_uuid FOREIGN KEY(project_id, turn_uuid) REFERENCES agentrecord.ar_turns (project_id, id)
);

CREATE INDEX ix_ar_turn_events_created ON agentrecord.ar_turn_events (project_id, created_at);
