CREATE TABLE ar_accounts (
	id BLOB NOT NULL,
	email TEXT NOT NULL,
	name TEXT,
	password_hash TEXT,
	created_at INTEGER NOT NULL,
	disabled_at INTEGER,
	CONSTRAINT pk_ar_accounts PRIMARY KEY (id),
	CONSTRAINT uq_ar_accounts_email UNIQUE (email)
)
 STRICT;

CREATE TABLE ar_activity_days (
	project_id BLOB NOT NULL,
	day INTEGER NOT NULL,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB NOT NULL,
	session_count INTEGER DEFAULT 0 NOT NULL,
	failed_sessions INTEGER DEFAULT 0 NOT NULL,
	message_count INTEGER DEFAULT 0 NOT NULL,
	run_count INTEGER DEFAULT 0 NOT NULL,
	failed_runs INTEGER DEFAULT 0 NOT NULL,
	completed_runs INTEGER DEFAULT 0 NOT NULL,
	run_iterations INTEGER DEFAULT 0 NOT NULL,
	tool_calls INTEGER DEFAULT 0 NOT NULL,
	tool_errors INTEGER DEFAULT 0 NOT NULL,
	error_count INTEGER DEFAULT 0 NOT NULL,
	satisfaction_sum REAL DEFAULT 0 NOT NULL,
	satisfaction_count INTEGER DEFAULT 0 NOT NULL,
	CONSTRAINT pk_ar_activity_days PRIMARY KEY (project_id, day, user_uuid, agent_uuid)
)
 WITHOUT ROWID,
 STRICT;

CREATE TABLE ar_agents (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	serial INTEGER,
	agent_id TEXT NOT NULL,
	name TEXT,
	description TEXT,
	instructions TEXT,
	learning_mode TEXT,
	training_status TEXT,
	specializations TEXT DEFAULT '[]' NOT NULL,
	total_sessions INTEGER DEFAULT 0 NOT NULL,
	created_at INTEGER NOT NULL,
	last_active_at INTEGER,
	CONSTRAINT pk_ar_agents PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_agents_project_id_agent_id UNIQUE (project_id, agent_id)
)
 STRICT;

CREATE TABLE ar_arrivals (
	project_id BLOB NOT NULL,
	place INTEGER NOT NULL,
	part INTEGER NOT NULL,
	user_uuid BLOB NOT NULL,
	at INTEGER NOT NULL,
	refs BLOB NOT NULL,
	CONSTRAINT pk_ar_arrivals PRIMARY KEY (project_id, place, part)
)
 WITHOUT ROWID,
 STRICT;

CREATE TABLE ar_audit_entries (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	sequence INTEGER NOT NULL,
	actor_kind TEXT NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	object_kind TEXT NOT NULL,
	object_id TEXT NOT NULL,
	details TEXT,
	origin TEXT,
	created_at INTEGER NOT NULL,
	salt BLOB NOT NULL,
	content_hash BLOB NOT NULL,
	chain_hash BLOB NOT NULL,
	CONSTRAINT pk_ar_audit_entries PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_audit_entries_project_id_sequence UNIQUE (project_id, sequence)
)
 STRICT;

CREATE INDEX ix_ar_audit_entries_object ON ar_audit_entries (project_id, object_kind, object_id, sequence);

CREATE TABLE ar_audit_heads (
	project_id BLOB NOT NULL,
	last_sequence INTEGER NOT NULL,
	chain_hash BLOB NOT NULL,
	CONSTRAINT pk_ar_audit_heads PRIMARY KEY (project_id)
)
 STRICT;

CREATE TABLE ar_budgets (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	name TEXT NOT NULL,
	user_uuid BLOB,
	agent_uuid BLOB,
	period TEXT NOT NULL,
	limit_nanos INTEGER NOT NULL,
	allow_unpriced INTEGER NOT NULL,
	is_active INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_budgets PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_budgets_project_id_name UNIQUE (project_id, name)
)
 STRICT;

CREATE TABLE ar_call_reservations (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	model TEXT NOT NULL,
	host TEXT,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB,
	run_uuid BLOB,
	session_uuid BLOB,
	amount_nanos INTEGER,
	input_tokens INTEGER NOT NULL,
	max_output_tokens INTEGER,
	created_at INTEGER NOT NULL,
	held_day INTEGER,
	CONSTRAINT pk_ar_call_reservations PRIMARY KEY (project_id, id)
)
 STRICT;

CREATE INDEX ix_ar_call_reservations_run ON ar_call_reservations (project_id, run_uuid);

CREATE TABLE ar_call_tools (
	project_id BLOB NOT NULL,
	llm_call_uuid BLOB NOT NULL,
	tool_name TEXT NOT NULL,
	user_uuid BLOB NOT NULL,
	CONSTRAINT pk_ar_call_tools PRIMARY KEY (project_id, llm_call_uuid, tool_name)
)
 WITHOUT ROWID,
 STRICT;

CREATE TABLE ar_contents (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	user_uuid BLOB NOT NULL,
	content TEXT,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_contents PRIMARY KEY (project_id, id)
)
 STRICT;

CREATE TABLE ar_error_days (
	project_id BLOB NOT NULL,
	group_uuid BLOB NOT NULL,
	day INTEGER NOT NULL,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB NOT NULL,
	count INTEGER DEFAULT 0 NOT NULL,
	CONSTRAINT pk_ar_error_days PRIMARY KEY (project_id, group_uuid, day, user_uuid, agent_uuid)
)
 WITHOUT ROWID,
 STRICT;

CREATE TABLE ar_error_groups (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	fingerprint TEXT NOT NULL,
	kind TEXT DEFAULT 'agent' NOT NULL,
	error_type TEXT NOT NULL,
	error_message TEXT NOT NULL,
	tool_name TEXT,
	count INTEGER DEFAULT 0 NOT NULL,
	first_seen_at INTEGER NOT NULL,
	last_seen_at INTEGER NOT NULL,
	resolved_at INTEGER,
	regressed_at INTEGER,
	CONSTRAINT pk_ar_error_groups PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_error_groups_project_id_fingerprint UNIQUE (project_id, fingerprint)
)
 STRICT;

CREATE TABLE ar_events (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	serial INTEGER,
	event_type TEXT NOT NULL,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB,
	agent_name TEXT,
	run_uuid BLOB,
	run_ref TEXT,
	session_uuid BLOB,
	session_ref TEXT,
	session_sequence INTEGER,
	run_sequence INTEGER,
	parent_event_uuid BLOB,
	trace_uuid BLOB,
	span_id TEXT,
	piece_uuid BLOB,
	detached_from TEXT,
	data TEXT,
	duration_ms INTEGER,
	timestamp INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_events PRIMARY KEY (project_id, id)
)
 STRICT;

CREATE INDEX ix_ar_events_detached ON ar_events (project_id, run_uuid) WHERE detached_from IS NOT NULL;

CREATE INDEX ix_ar_events_run ON ar_events (project_id, run_uuid, run_sequence);

CREATE INDEX ix_ar_events_run_ref ON ar_events (project_id, run_ref) WHERE run_ref IS NOT NULL;

CREATE INDEX ix_ar_events_session ON ar_events (project_id, session_uuid, session_sequence);

CREATE INDEX ix_ar_events_spans ON ar_events (project_id, timestamp) WHERE trace_uuid IS NOT NULL;

CREATE INDEX ix_ar_events_trace ON ar_events (project_id, trace_uuid) WHERE trace_uuid IS NOT NULL;

CREATE TABLE ar_hosts (
	id BLOB NOT NULL,
	serial INTEGER,
	name TEXT NOT NULL,
	base_url TEXT,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_hosts PRIMARY KEY (id),
	CONSTRAINT uq_ar_hosts_name UNIQUE (name)
)
 STRICT;

CREATE TABLE ar_imported_files (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	source TEXT NOT NULL,
	owner TEXT NOT NULL,
	path TEXT NOT NULL,
	size_bytes INTEGER DEFAULT 0 NOT NULL,
	modified_ns INTEGER DEFAULT 0 NOT NULL,
	fingerprint TEXT NOT NULL,
	facts INTEGER DEFAULT 0 NOT NULL,
	unreadable INTEGER DEFAULT 0 NOT NULL,
	imported_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_imported_files PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_imported_files_project_id_source_owner_path UNIQUE (project_id, source, owner, path)
)
 STRICT;

CREATE TABLE ar_latency_days (
	project_id BLOB NOT NULL,
	day INTEGER NOT NULL,
	agent_uuid BLOB NOT NULL,
	model_uuid BLOB NOT NULL,
	bucket INTEGER NOT NULL,
	calls INTEGER DEFAULT 0 NOT NULL,
	CONSTRAINT pk_ar_latency_days PRIMARY KEY (project_id, day, agent_uuid, model_uuid, bucket)
)
 WITHOUT ROWID,
 STRICT;

CREATE TABLE ar_llm_calls (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	serial INTEGER,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB,
	agent_version_uuid BLOB,
	session_uuid BLOB,
	session_ref TEXT,
	run_uuid BLOB,
	run_ref TEXT,
	message_uuid BLOB,
	model_uuid BLOB NOT NULL,
	is_subagent INTEGER NOT NULL,
	dedup_key TEXT,
	request_id TEXT,
	prompt_uuid BLOB,
	prompt_length INTEGER,
	input_params TEXT,
	response_content TEXT,
	response_length INTEGER,
	input_tokens INTEGER,
	cache_read_tokens INTEGER,
	cache_write_5m_tokens INTEGER,
	cache_write_1h_tokens INTEGER,
	output_tokens INTEGER,
	reasoning_tokens INTEGER,
	unclassified_tokens INTEGER,
	usage_metrics TEXT,
	status TEXT NOT NULL,
	error_message TEXT,
	latency_ms INTEGER,
	time_to_first_token_ms INTEGER,
	cost_nanos INTEGER,
	cost_source TEXT NOT NULL,
	price_uuid BLOB,
	origin TEXT NOT NULL,
	timestamp INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_llm_calls PRIMARY KEY (project_id, id)
)
 STRICT;

CREATE INDEX ix_ar_llm_calls_agent ON ar_llm_calls (project_id, agent_uuid, timestamp);

CREATE INDEX ix_ar_llm_calls_failed ON ar_llm_calls (project_id, status, timestamp, user_uuid, cost_nanos, is_subagent) WHERE status = 'error';

CREATE INDEX ix_ar_llm_calls_outside ON ar_llm_calls (project_id, session_uuid, timestamp) WHERE run_uuid IS NULL;

CREATE INDEX ix_ar_llm_calls_run ON ar_llm_calls (project_id, run_uuid, timestamp) WHERE run_uuid IS NOT NULL;

CREATE INDEX ix_ar_llm_calls_run_ref ON ar_llm_calls (project_id, run_ref) WHERE run_ref IS NOT NULL;

CREATE INDEX ix_ar_llm_calls_session ON ar_llm_calls (project_id, session_uuid);

CREATE INDEX ix_ar_llm_calls_timestamp ON ar_llm_calls (project_id, timestamp);

CREATE UNIQUE INDEX uq_ar_llm_calls_dedup_key ON ar_llm_calls (project_id, dedup_key) WHERE dedup_key IS NOT NULL;

CREATE TABLE ar_prices (
	id BLOB NOT NULL,
	price_project_id BLOB,
	model TEXT NOT NULL,
	host TEXT,
	rates TEXT NOT NULL,
	tiers TEXT NOT NULL,
	input_rate INTEGER,
	output_rate INTEGER,
	effective_from INTEGER,
	source TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	retired_at INTEGER,
	CONSTRAINT pk_ar_prices PRIMARY KEY (id)
)
 STRICT;

CREATE INDEX ix_ar_prices_model ON ar_prices (model);

CREATE TABLE ar_projects (
	id BLOB NOT NULL,
	serial INTEGER,
	name TEXT NOT NULL,
	description TEXT,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_projects PRIMARY KEY (id),
	CONSTRAINT uq_ar_projects_name UNIQUE (name)
)
 STRICT;

CREATE TABLE ar_prompts (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	user_uuid BLOB NOT NULL,
	parent_uuid BLOB,
	depth INTEGER NOT NULL,
	role TEXT,
	message_uuid BLOB,
	revision INTEGER,
	content_uuid BLOB,
	CONSTRAINT pk_ar_prompts PRIMARY KEY (project_id, id)
)
 STRICT;

CREATE TABLE ar_relations (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	kind TEXT NOT NULL,
	from_kind TEXT NOT NULL,
	from_uuid BLOB NOT NULL,
	to_kind TEXT NOT NULL,
	to_uuid BLOB NOT NULL,
	metadata TEXT,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_relations PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_relations_project_id_from_uuid_kind_to_uuid UNIQUE (project_id, from_uuid, kind, to_uuid)
)
 STRICT;

CREATE INDEX ix_ar_relations_to ON ar_relations (project_id, to_uuid);

CREATE TABLE ar_runs (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	serial INTEGER,
	run_id TEXT NOT NULL,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB,
	agent_name TEXT,
	agent_version_uuid BLOB,
	objective TEXT,
	additional_context TEXT,
	status TEXT NOT NULL,
	status_reason TEXT,
	error_message TEXT,
	total_iterations INTEGER DEFAULT 0 NOT NULL,
	reported TEXT,
	final_synthesis_output TEXT,
	execution_history TEXT,
	session_uuid BLOB,
	parent_uuid BLOB,
	trace_id TEXT,
	metadata TEXT,
	last_event_sequence INTEGER DEFAULT 0 NOT NULL,
	tool_call_count INTEGER DEFAULT 0 NOT NULL,
	tool_error_count INTEGER DEFAULT 0 NOT NULL,
	child_count INTEGER DEFAULT 0 NOT NULL,
	calls INTEGER DEFAULT 0 NOT NULL,
	failed_calls INTEGER DEFAULT 0 NOT NULL,
	unpriced_calls INTEGER DEFAULT 0 NOT NULL,
	uncounted_calls INTEGER DEFAULT 0 NOT NULL,
	input_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_read_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_write_5m_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_write_1h_tokens INTEGER DEFAULT 0 NOT NULL,
	output_tokens INTEGER DEFAULT 0 NOT NULL,
	reasoning_tokens INTEGER DEFAULT 0 NOT NULL,
	unclassified_tokens INTEGER DEFAULT 0 NOT NULL,
	cost_nanos INTEGER DEFAULT 0 NOT NULL,
	latency_ms_sum INTEGER DEFAULT 0 NOT NULL,
	latency_count INTEGER DEFAULT 0 NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	started_at INTEGER,
	finished_at INTEGER,
	heartbeat_at INTEGER,
	alive_until INTEGER,
	CONSTRAINT pk_ar_runs PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_runs_project_id_run_id UNIQUE (project_id, run_id)
)
 STRICT;

CREATE INDEX ix_ar_runs_agent ON ar_runs (project_id, agent_uuid, created_at, id);

CREATE INDEX ix_ar_runs_alive ON ar_runs (project_id, alive_until) WHERE alive_until IS NOT NULL;

CREATE INDEX ix_ar_runs_below ON ar_runs (project_id, started_at, created_at, status, user_uuid) WHERE parent_uuid IS NOT NULL;

CREATE INDEX ix_ar_runs_created ON ar_runs (project_id, created_at, id);

CREATE INDEX ix_ar_runs_parent ON ar_runs (project_id, parent_uuid);

CREATE INDEX ix_ar_runs_reason ON ar_runs (project_id, status_reason, started_at) WHERE status_reason IS NOT NULL;

CREATE INDEX ix_ar_runs_session ON ar_runs (project_id, session_uuid);

CREATE INDEX ix_ar_runs_started ON ar_runs (project_id, started_at, id);

CREATE INDEX ix_ar_runs_status ON ar_runs (project_id, status);

CREATE INDEX ix_ar_runs_version ON ar_runs (project_id, agent_version_uuid, created_at, id, status, started_at, agent_uuid, user_uuid) WHERE agent_version_uuid IS NOT NULL;

CREATE TABLE ar_schema (
	version INTEGER NOT NULL,
	name TEXT NOT NULL,
	applied_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_schema PRIMARY KEY (version)
)
 STRICT;

CREATE TABLE ar_serials (
	project_id BLOB NOT NULL,
	table_name TEXT NOT NULL,
	next_serial INTEGER NOT NULL,
	CONSTRAINT pk_ar_serials PRIMARY KEY (project_id, table_name)
)
 STRICT;

CREATE TABLE ar_settings (
	"key" TEXT NOT NULL,
	value BLOB NOT NULL,
	updated_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_settings PRIMARY KEY ("key")
)
 STRICT;

CREATE TABLE ar_sign_in_attempts (
	subject TEXT NOT NULL,
	failures INTEGER NOT NULL,
	last_at INTEGER NOT NULL,
	locked_until INTEGER,
	CONSTRAINT pk_ar_sign_in_attempts PRIMARY KEY (subject)
)
 STRICT;

CREATE INDEX ix_ar_sign_in_attempts_last ON ar_sign_in_attempts (last_at);

CREATE TABLE ar_tool_calls (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	serial INTEGER,
	tool_name TEXT NOT NULL,
	call_ref TEXT,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB,
	arguments TEXT,
	result TEXT,
	status TEXT NOT NULL,
	error_message TEXT,
	session_uuid BLOB,
	run_uuid BLOB,
	message_uuid BLOB,
	result_message_uuid BLOB,
	started_at INTEGER,
	finished_at INTEGER,
	duration_ms INTEGER,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_tool_calls PRIMARY KEY (project_id, id)
)
 STRICT;

CREATE INDEX ix_ar_tool_calls_failed ON ar_tool_calls (project_id, status, started_at, id, user_uuid) WHERE status = 'error';

CREATE INDEX ix_ar_tool_calls_outside ON ar_tool_calls (project_id, session_uuid, started_at) WHERE run_uuid IS NULL;

CREATE INDEX ix_ar_tool_calls_run ON ar_tool_calls (project_id, run_uuid, started_at) WHERE run_uuid IS NOT NULL;

CREATE INDEX ix_ar_tool_calls_session ON ar_tool_calls (project_id, session_uuid, call_ref);

CREATE TABLE ar_tool_days (
	project_id BLOB NOT NULL,
	day INTEGER NOT NULL,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB NOT NULL,
	tool_name TEXT NOT NULL,
	calls INTEGER DEFAULT 0 NOT NULL,
	errors INTEGER DEFAULT 0 NOT NULL,
	duration_ms_sum INTEGER DEFAULT 0 NOT NULL,
	duration_count INTEGER DEFAULT 0 NOT NULL,
	CONSTRAINT pk_ar_tool_days PRIMARY KEY (project_id, day, user_uuid, agent_uuid, tool_name)
)
 WITHOUT ROWID,
 STRICT;

CREATE TABLE ar_tool_usage_days (
	project_id BLOB NOT NULL,
	bucket INTEGER NOT NULL,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB NOT NULL,
	agent_version_uuid BLOB NOT NULL,
	model_uuid BLOB NOT NULL,
	is_subagent INTEGER NOT NULL,
	calls INTEGER DEFAULT 0 NOT NULL,
	failed_calls INTEGER DEFAULT 0 NOT NULL,
	unpriced_calls INTEGER DEFAULT 0 NOT NULL,
	uncounted_calls INTEGER DEFAULT 0 NOT NULL,
	input_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_read_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_write_5m_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_write_1h_tokens INTEGER DEFAULT 0 NOT NULL,
	output_tokens INTEGER DEFAULT 0 NOT NULL,
	reasoning_tokens INTEGER DEFAULT 0 NOT NULL,
	unclassified_tokens INTEGER DEFAULT 0 NOT NULL,
	cost_nanos INTEGER DEFAULT 0 NOT NULL,
	latency_ms_sum INTEGER DEFAULT 0 NOT NULL,
	latency_count INTEGER DEFAULT 0 NOT NULL,
	first_at INTEGER NOT NULL,
	last_at INTEGER NOT NULL,
	cut TEXT NOT NULL,
	tool_name TEXT NOT NULL,
	once_calls INTEGER DEFAULT 0 NOT NULL,
	once_failed_calls INTEGER DEFAULT 0 NOT NULL,
	once_unpriced_calls INTEGER DEFAULT 0 NOT NULL,
	once_uncounted_calls INTEGER DEFAULT 0 NOT NULL,
	once_latency_ms_sum INTEGER DEFAULT 0 NOT NULL,
	once_latency_count INTEGER DEFAULT 0 NOT NULL,
	CONSTRAINT pk_ar_tool_usage_days PRIMARY KEY (project_id, cut, user_uuid, tool_name, bucket, model_uuid, agent_uuid, agent_version_uuid, is_subagent)
)
 WITHOUT ROWID,
 STRICT;

CREATE TABLE ar_tool_usage_hours (
	project_id BLOB NOT NULL,
	bucket INTEGER NOT NULL,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB NOT NULL,
	agent_version_uuid BLOB NOT NULL,
	model_uuid BLOB NOT NULL,
	is_subagent INTEGER NOT NULL,
	calls INTEGER DEFAULT 0 NOT NULL,
	failed_calls INTEGER DEFAULT 0 NOT NULL,
	unpriced_calls INTEGER DEFAULT 0 NOT NULL,
	uncounted_calls INTEGER DEFAULT 0 NOT NULL,
	input_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_read_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_write_5m_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_write_1h_tokens INTEGER DEFAULT 0 NOT NULL,
	output_tokens INTEGER DEFAULT 0 NOT NULL,
	reasoning_tokens INTEGER DEFAULT 0 NOT NULL,
	unclassified_tokens INTEGER DEFAULT 0 NOT NULL,
	cost_nanos INTEGER DEFAULT 0 NOT NULL,
	latency_ms_sum INTEGER DEFAULT 0 NOT NULL,
	latency_count INTEGER DEFAULT 0 NOT NULL,
	first_at INTEGER NOT NULL,
	last_at INTEGER NOT NULL,
	cut TEXT NOT NULL,
	tool_name TEXT NOT NULL,
	once_calls INTEGER DEFAULT 0 NOT NULL,
	once_failed_calls INTEGER DEFAULT 0 NOT NULL,
	once_unpriced_calls INTEGER DEFAULT 0 NOT NULL,
	once_uncounted_calls INTEGER DEFAULT 0 NOT NULL,
	once_latency_ms_sum INTEGER DEFAULT 0 NOT NULL,
	once_latency_count INTEGER DEFAULT 0 NOT NULL,
	CONSTRAINT pk_ar_tool_usage_hours PRIMARY KEY (project_id, cut, bucket, tool_name, model_uuid, user_uuid, agent_uuid, agent_version_uuid, is_subagent)
)
 WITHOUT ROWID,
 STRICT;

CREATE TABLE ar_traces (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	trace_id TEXT NOT NULL,
	user_uuid BLOB NOT NULL,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_traces PRIMARY KEY (project_id, id)
)
 STRICT;

CREATE INDEX ix_ar_traces_trace ON ar_traces (project_id, trace_id);

CREATE TABLE ar_unreadable_lines (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	source TEXT NOT NULL,
	path TEXT NOT NULL,
	line INTEGER NOT NULL,
	reason TEXT NOT NULL,
	excerpt TEXT NOT NULL,
	was_kept INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_unreadable_lines PRIMARY KEY (project_id, id)
)
 STRICT;

CREATE INDEX ix_ar_unreadable_lines_path ON ar_unreadable_lines (project_id, path);

CREATE TABLE ar_usage_days (
	project_id BLOB NOT NULL,
	bucket INTEGER NOT NULL,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB NOT NULL,
	agent_version_uuid BLOB NOT NULL,
	model_uuid BLOB NOT NULL,
	is_subagent INTEGER NOT NULL,
	calls INTEGER DEFAULT 0 NOT NULL,
	failed_calls INTEGER DEFAULT 0 NOT NULL,
	unpriced_calls INTEGER DEFAULT 0 NOT NULL,
	uncounted_calls INTEGER DEFAULT 0 NOT NULL,
	input_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_read_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_write_5m_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_write_1h_tokens INTEGER DEFAULT 0 NOT NULL,
	output_tokens INTEGER DEFAULT 0 NOT NULL,
	reasoning_tokens INTEGER DEFAULT 0 NOT NULL,
	unclassified_tokens INTEGER DEFAULT 0 NOT NULL,
	cost_nanos INTEGER DEFAULT 0 NOT NULL,
	latency_ms_sum INTEGER DEFAULT 0 NOT NULL,
	latency_count INTEGER DEFAULT 0 NOT NULL,
	first_at INTEGER NOT NULL,
	last_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_usage_days PRIMARY KEY (project_id, bucket, model_uuid, user_uuid, agent_uuid, agent_version_uuid, is_subagent)
)
 STRICT;

CREATE INDEX ix_ar_usage_days_agent ON ar_usage_days (project_id, agent_uuid, bucket);

CREATE INDEX ix_ar_usage_days_model ON ar_usage_days (project_id, model_uuid, bucket);

CREATE INDEX ix_ar_usage_days_user ON ar_usage_days (project_id, user_uuid, bucket);

CREATE INDEX ix_ar_usage_days_version ON ar_usage_days (project_id, agent_version_uuid, model_uuid, bucket);

CREATE TABLE ar_usage_hours (
	project_id BLOB NOT NULL,
	bucket INTEGER NOT NULL,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB NOT NULL,
	agent_version_uuid BLOB NOT NULL,
	model_uuid BLOB NOT NULL,
	is_subagent INTEGER NOT NULL,
	calls INTEGER DEFAULT 0 NOT NULL,
	failed_calls INTEGER DEFAULT 0 NOT NULL,
	unpriced_calls INTEGER DEFAULT 0 NOT NULL,
	uncounted_calls INTEGER DEFAULT 0 NOT NULL,
	input_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_read_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_write_5m_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_write_1h_tokens INTEGER DEFAULT 0 NOT NULL,
	output_tokens INTEGER DEFAULT 0 NOT NULL,
	reasoning_tokens INTEGER DEFAULT 0 NOT NULL,
	unclassified_tokens INTEGER DEFAULT 0 NOT NULL,
	cost_nanos INTEGER DEFAULT 0 NOT NULL,
	latency_ms_sum INTEGER DEFAULT 0 NOT NULL,
	latency_count INTEGER DEFAULT 0 NOT NULL,
	first_at INTEGER NOT NULL,
	last_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_usage_hours PRIMARY KEY (project_id, bucket, model_uuid, user_uuid, agent_uuid, agent_version_uuid, is_subagent)
)
 WITHOUT ROWID,
 STRICT;

CREATE TABLE ar_agent_versions (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	serial INTEGER,
	agent_uuid BLOB NOT NULL,
	version_number TEXT NOT NULL,
	changes TEXT,
	performance TEXT,
	created_by TEXT,
	is_active INTEGER NOT NULL,
	activated_at INTEGER,
	deactivated_at INTEGER,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_agent_versions PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_agent_versions_project_id_agent_uuid_version_number UNIQUE (project_id, agent_uuid, version_number),
	CONSTRAINT fk_ar_agent_versions_project_id_agent_uuid FOREIGN KEY(project_id, agent_uuid) REFERENCES ar_agents (project_id, id)
)
 STRICT;

CREATE UNIQUE INDEX uq_ar_agent_versions_active ON ar_agent_versions (project_id, agent_uuid) WHERE is_active;

CREATE TABLE ar_api_keys (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	user_uuid BLOB,
	prefix TEXT NOT NULL,
	secret_hash BLOB NOT NULL,
	name TEXT NOT NULL,
	role TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER,
	last_used_at INTEGER,
	revoked_at INTEGER,
	CONSTRAINT pk_ar_api_keys PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_api_keys_prefix UNIQUE (prefix),
	CONSTRAINT fk_ar_api_keys_project_id FOREIGN KEY(project_id) REFERENCES ar_projects (id)
)
 STRICT;

CREATE TABLE ar_errors (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	serial INTEGER,
	group_uuid BLOB NOT NULL,
	user_uuid BLOB NOT NULL,
	agent_uuid BLOB,
	session_uuid BLOB,
	run_uuid BLOB,
	tool_call_uuid BLOB,
	llm_call_uuid BLOB,
	kind TEXT DEFAULT 'agent' NOT NULL,
	is_derived INTEGER NOT NULL,
	tool_name TEXT,
	error_type TEXT NOT NULL,
	error_message TEXT NOT NULL,
	error_code TEXT,
	stack_trace TEXT,
	context TEXT,
	is_resolved INTEGER NOT NULL,
	resolved_at INTEGER,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_errors PRIMARY KEY (project_id, id),
	CONSTRAINT fk_ar_errors_project_id_group_uuid FOREIGN KEY(project_id, group_uuid) REFERENCES ar_error_groups (project_id, id)
)
 STRICT;

CREATE INDEX ix_ar_errors_created ON ar_errors (project_id, created_at, id);

CREATE INDEX ix_ar_errors_group ON ar_errors (project_id, group_uuid, created_at, id);

CREATE INDEX ix_ar_errors_llm_call ON ar_errors (project_id, llm_call_uuid) WHERE llm_call_uuid IS NOT NULL;

CREATE INDEX ix_ar_errors_run ON ar_errors (project_id, run_uuid) WHERE run_uuid IS NOT NULL;

CREATE INDEX ix_ar_errors_session ON ar_errors (project_id, session_uuid);

CREATE INDEX ix_ar_errors_told ON ar_errors (project_id, created_at, id) WHERE is_derived = 0;

CREATE INDEX ix_ar_errors_tool_call ON ar_errors (project_id, tool_call_uuid) WHERE tool_call_uuid IS NOT NULL;

CREATE INDEX ix_ar_errors_user ON ar_errors (project_id, user_uuid, group_uuid, created_at);

CREATE TABLE ar_models (
	id BLOB NOT NULL,
	serial INTEGER,
	name TEXT NOT NULL,
	host_uuid BLOB NOT NULL,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_models PRIMARY KEY (id),
	CONSTRAINT uq_ar_models_host_uuid_name UNIQUE (host_uuid, name),
	CONSTRAINT fk_ar_models_host_uuid FOREIGN KEY(host_uuid) REFERENCES ar_hosts (id)
)
 STRICT;

CREATE TABLE ar_sign_ins (
	id BLOB NOT NULL,
	project_id BLOB NOT NULL,
	account_uuid BLOB NOT NULL,
	address TEXT,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	ended_at INTEGER,
	ended_because TEXT,
	CONSTRAINT pk_ar_sign_ins PRIMARY KEY (id),
	CONSTRAINT fk_ar_sign_ins_account_uuid FOREIGN KEY(account_uuid) REFERENCES ar_accounts (id),
	CONSTRAINT fk_ar_sign_ins_project_id FOREIGN KEY(project_id) REFERENCES ar_projects (id)
)
 STRICT;

CREATE INDEX ix_ar_sign_ins_account ON ar_sign_ins (account_uuid);

CREATE TABLE ar_users (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	serial INTEGER,
	external_id TEXT NOT NULL,
	name TEXT,
	email TEXT,
	is_admin INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	erased_at INTEGER,
	CONSTRAINT pk_ar_users PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_users_project_id_external_id UNIQUE (project_id, external_id),
	CONSTRAINT fk_ar_users_project_id FOREIGN KEY(project_id) REFERENCES ar_projects (id)
)
 STRICT;

CREATE TABLE ar_memberships (
	project_id BLOB NOT NULL,
	account_uuid BLOB NOT NULL,
	user_uuid BLOB NOT NULL,
	role TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_memberships PRIMARY KEY (project_id, account_uuid),
	CONSTRAINT fk_ar_memberships_account_uuid FOREIGN KEY(account_uuid) REFERENCES ar_accounts (id),
	CONSTRAINT fk_ar_memberships_project_id_user_uuid FOREIGN KEY(project_id, user_uuid) REFERENCES ar_users (project_id, id)
)
 STRICT;

CREATE INDEX ix_ar_memberships_account ON ar_memberships (account_uuid);

CREATE TABLE ar_refresh_tokens (
	token_hash BLOB NOT NULL,
	sign_in_uuid BLOB NOT NULL,
	created_at INTEGER NOT NULL,
	used_at INTEGER,
	CONSTRAINT pk_ar_refresh_tokens PRIMARY KEY (token_hash),
	CONSTRAINT fk_ar_refresh_tokens_sign_in_uuid FOREIGN KEY(sign_in_uuid) REFERENCES ar_sign_ins (id)
)
 STRICT;

CREATE INDEX ix_ar_refresh_tokens_sign_in ON ar_refresh_tokens (sign_in_uuid);

CREATE TABLE ar_sessions (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	serial INTEGER,
	user_uuid BLOB NOT NULL,
	session_id TEXT NOT NULL,
	agent_uuid BLOB,
	agent_name TEXT,
	agent_instructions TEXT,
	agent_version_uuid BLOB,
	title TEXT,
	description TEXT,
	is_active INTEGER NOT NULL,
	status TEXT NOT NULL,
	purpose TEXT,
	business_context TEXT,
	tags TEXT DEFAULT '[]' NOT NULL,
	quality_score REAL,
	user_satisfaction REAL,
	learning_outcomes TEXT,
	source TEXT,
	parent_uuid BLOB,
	root_uuid BLOB,
	metadata TEXT,
	message_count INTEGER DEFAULT 0 NOT NULL,
	last_sequence INTEGER DEFAULT 0 NOT NULL,
	last_event_sequence INTEGER DEFAULT 0 NOT NULL,
	run_count INTEGER DEFAULT 0 NOT NULL,
	tool_call_count INTEGER DEFAULT 0 NOT NULL,
	tool_error_count INTEGER DEFAULT 0 NOT NULL,
	error_count INTEGER DEFAULT 0 NOT NULL,
	child_count INTEGER DEFAULT 0 NOT NULL,
	calls INTEGER DEFAULT 0 NOT NULL,
	failed_calls INTEGER DEFAULT 0 NOT NULL,
	unpriced_calls INTEGER DEFAULT 0 NOT NULL,
	uncounted_calls INTEGER DEFAULT 0 NOT NULL,
	input_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_read_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_write_5m_tokens INTEGER DEFAULT 0 NOT NULL,
	cache_write_1h_tokens INTEGER DEFAULT 0 NOT NULL,
	output_tokens INTEGER DEFAULT 0 NOT NULL,
	reasoning_tokens INTEGER DEFAULT 0 NOT NULL,
	unclassified_tokens INTEGER DEFAULT 0 NOT NULL,
	cost_nanos INTEGER DEFAULT 0 NOT NULL,
	latency_ms_sum INTEGER DEFAULT 0 NOT NULL,
	latency_count INTEGER DEFAULT 0 NOT NULL,
	subagent_calls INTEGER DEFAULT 0 NOT NULL,
	subagent_failed_calls INTEGER DEFAULT 0 NOT NULL,
	subagent_unpriced_calls INTEGER DEFAULT 0 NOT NULL,
	subagent_uncounted_calls INTEGER DEFAULT 0 NOT NULL,
	subagent_input_tokens INTEGER DEFAULT 0 NOT NULL,
	subagent_cache_read_tokens INTEGER DEFAULT 0 NOT NULL,
	subagent_cache_write_5m_tokens INTEGER DEFAULT 0 NOT NULL,
	subagent_cache_write_1h_tokens INTEGER DEFAULT 0 NOT NULL,
	subagent_output_tokens INTEGER DEFAULT 0 NOT NULL,
	subagent_reasoning_tokens INTEGER DEFAULT 0 NOT NULL,
	subagent_unclassified_tokens INTEGER DEFAULT 0 NOT NULL,
	subagent_cost_nanos INTEGER DEFAULT 0 NOT NULL,
	subagent_latency_ms_sum INTEGER DEFAULT 0 NOT NULL,
	subagent_latency_count INTEGER DEFAULT 0 NOT NULL,
	archived_message_count INTEGER DEFAULT 0 NOT NULL,
	archived_calls INTEGER DEFAULT 0 NOT NULL,
	archived_tokens INTEGER DEFAULT 0 NOT NULL,
	archived_cost_nanos INTEGER DEFAULT 0 NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	last_activity_at INTEGER NOT NULL,
	deleted_at INTEGER,
	CONSTRAINT pk_ar_sessions PRIMARY KEY (project_id, id),
	CONSTRAINT fk_ar_sessions_project_id_user_uuid FOREIGN KEY(project_id, user_uuid) REFERENCES ar_users (project_id, id)
)
 STRICT;

CREATE INDEX ix_ar_sessions_activity ON ar_sessions (project_id, last_activity_at, id);

CREATE INDEX ix_ar_sessions_name ON ar_sessions (project_id, session_id);

CREATE INDEX ix_ar_sessions_parent ON ar_sessions (project_id, parent_uuid);

CREATE INDEX ix_ar_sessions_root ON ar_sessions (project_id, root_uuid);

CREATE UNIQUE INDEX uq_ar_sessions_session_id ON ar_sessions (project_id, user_uuid, session_id) WHERE deleted_at IS NULL;

CREATE TABLE ar_coding_sessions (
	project_id BLOB NOT NULL,
	session_uuid BLOB NOT NULL,
	tool_name TEXT NOT NULL,
	tool_version TEXT,
	working_directory TEXT,
	git_branch TEXT,
	host TEXT,
	username TEXT,
	chat_id TEXT,
	initial_task TEXT,
	task_count INTEGER DEFAULT 0 NOT NULL,
	session_metadata TEXT,
	CONSTRAINT pk_ar_coding_sessions PRIMARY KEY (project_id, session_uuid),
	CONSTRAINT fk_ar_coding_sessions_project_id_session_uuid FOREIGN KEY(project_id, session_uuid) REFERENCES ar_sessions (project_id, id)
)
 STRICT;

CREATE TABLE ar_messages (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	serial INTEGER,
	session_uuid BLOB NOT NULL,
	user_uuid BLOB NOT NULL,
	sequence INTEGER NOT NULL,
	role TEXT NOT NULL,
	content TEXT NOT NULL,
	revision INTEGER DEFAULT 1 NOT NULL,
	message_id TEXT,
	parts TEXT,
	tool_call_id TEXT,
	tool_name TEXT,
	tools_used TEXT DEFAULT '[]' NOT NULL,
	extra_data TEXT,
	metadata TEXT,
	model_used TEXT,
	response_time_ms INTEGER,
	run_uuid BLOB,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	deleted_at INTEGER,
	CONSTRAINT pk_ar_messages PRIMARY KEY (project_id, id),
	CONSTRAINT uq_ar_messages_project_id_session_uuid_sequence UNIQUE (project_id, session_uuid, sequence),
	CONSTRAINT fk_ar_messages_project_id_session_uuid FOREIGN KEY(project_id, session_uuid) REFERENCES ar_sessions (project_id, id)
)
 STRICT;

CREATE TABLE ar_session_metrics (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	serial INTEGER,
	session_uuid BLOB NOT NULL,
	metric_type TEXT NOT NULL,
	metric_value REAL NOT NULL,
	timestamp INTEGER NOT NULL,
	metadata TEXT,
	CONSTRAINT pk_ar_session_metrics PRIMARY KEY (project_id, id),
	CONSTRAINT fk_ar_session_metrics_project_id_session_uuid FOREIGN KEY(project_id, session_uuid) REFERENCES ar_sessions (project_id, id)
)
 STRICT;

CREATE TABLE ar_turns (
	project_id BLOB NOT NULL,
	id BLOB NOT NULL,
	session_uuid BLOB NOT NULL,
	user_uuid BLOB NOT NULL,
	begun_by_uuid BLOB NOT NULL,
	run_uuid BLOB NOT NULL,
	status TEXT NOT NULL,
	idempotency_key TEXT,
	request_hash TEXT NOT NULL,
	lease_owner TEXT NOT NULL,
	lease_expires_at INTEGER NOT NULL,
	cancel_requested_at INTEGER,
	watched_at INTEGER,
	last_event INTEGER DEFAULT 0 NOT NULL,
	response TEXT,
	error_type TEXT,
	error_message TEXT,
	created_at INTEGER NOT NULL,
	finished_at INTEGER,
	CONSTRAINT pk_ar_turns PRIMARY KEY (project_id, id),
	CONSTRAINT fk_ar_turns_project_id_session_uuid FOREIGN KEY(project_id, session_uuid) REFERENCES ar_sessions (project_id, id)
)
 STRICT;

CREATE INDEX ix_ar_turns_session ON ar_turns (project_id, session_uuid, finished_at);

CREATE UNIQUE INDEX uq_ar_turns_idempotency_key ON ar_turns (project_id, begun_by_uuid, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE UNIQUE INDEX uq_ar_turns_running ON ar_turns (project_id, session_uuid) WHERE finished_at IS NULL;

CREATE TABLE ar_message_revisions (
	project_id BLOB NOT NULL,
	message_uuid BLOB NOT NULL,
	revision INTEGER NOT NULL,
	content TEXT NOT NULL,
	parts TEXT,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_message_revisions PRIMARY KEY (project_id, message_uuid, revision),
	CONSTRAINT fk_ar_message_revisions_project_id_message_uuid FOREIGN KEY(project_id, message_uuid) REFERENCES ar_messages (project_id, id)
)
 STRICT;

CREATE TABLE ar_turn_events (
	project_id BLOB NOT NULL,
	turn_uuid BLOB NOT NULL,
	user_uuid BLOB NOT NULL,
	sequence INTEGER NOT NULL,
	event TEXT NOT NULL,
	data TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	CONSTRAINT pk_ar_turn_events PRIMARY KEY (project_id, turn_uuid, sequence),
	CONSTRAINT fk_ar_turn_events_project_id_turn_uuid FOREIGN KEY(project_id, turn_uuid) REFERENCES ar_turns (project_id, id)
)
 STRICT;

CREATE INDEX ix_ar_turn_events_created ON ar_turn_events (project_id, created_at);
