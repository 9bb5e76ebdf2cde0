"""Agents and their versions."""

from agentrecord.schema.tables import (
    at,
    belongs_to,
    column,
    count,
    define,
    index,
    optional,
    project_id,
    row_id,
    serial,
    unique,
)
from agentrecord.schema.types import Flag, Id, WordList, Words

agents = define(
    "ar_agents",
    project_id(),
    row_id(),
    serial(),
    column("agent_id", Words()),
    optional("name"),
    optional("description"),
    optional("instructions"),
    optional("learning_mode"),
    optional("training_status"),
    column("specializations", WordList(), default="'[]'"),
    count("total_sessions"),
    at("created_at"),
    at("last_active_at", null=True),
    unique("project_id", "agent_id"),
)

agent_versions = define(
    "ar_agent_versions",
    project_id(),
    row_id(),
    serial(),
    column("agent_uuid", Id()),
    column("version_number", Words()),
    optional("changes"),
    optional("performance"),
    optional("created_by"),
    column("is_active", Flag()),
    at("activated_at", null=True),
    at("deactivated_at", null=True),
    at("created_at"),
    unique("project_id", "agent_uuid", "version_number"),
    belongs_to("ar_agents", "agent_uuid"),
)
index(
    "uq_ar_agent_versions_active",
    agent_versions.c.project_id,
    agent_versions.c.agent_uuid,
    unique=True,
    where=agent_versions.c.is_active,
)
