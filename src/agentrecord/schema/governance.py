"""Relations between any two rows, the audit trail, and what was imported from where."""

from agentrecord.schema.tables import at, column, counters, define, index, optional, project_id, row_id, unique
from agentrecord.schema.types import Blob, Flag, Id, Whole, Words

relations = define(
    "ar_relations",
    project_id(),
    row_id(),
    column("kind", Words()),
    column("from_kind", Words()),
    column("from_uuid", Id()),
    column("to_kind", Words()),
    column("to_uuid", Id()),
    optional("metadata"),
    at("created_at"),
    unique("project_id", "from_uuid", "kind", "to_uuid"),
)
index("ix_ar_relations_to", relations.c.project_id, relations.c.to_uuid)

audit_entries = define(
    "ar_audit_entries",
    project_id(),
    row_id(),
    column("sequence", Whole()),
    column("actor_kind", Words()),
    column("actor", Words()),
    column("action", Words()),
    column("object_kind", Words()),
    column("object_id", Words()),
    optional("details"),
    optional("origin"),
    at("created_at"),
    column("salt", Blob()),
    column("content_hash", Blob()),
    column("chain_hash", Blob()),
    unique("project_id", "sequence"),
)

index(
    "ix_ar_audit_entries_object",
    audit_entries.c.project_id,
    audit_entries.c.object_kind,
    audit_entries.c.object_id,
    audit_entries.c.sequence,
)

audit_heads = define(
    "ar_audit_heads",
    project_id(),
    column("last_sequence", Whole()),
    column("chain_hash", Blob()),
    primary_key=("project_id",),
)

imported_files = define(
    "ar_imported_files",
    project_id(),
    row_id(),
    column("source", Words()),
    column("owner", Words()),
    column("path", Words()),
    *counters("size_bytes", "modified_ns"),
    column("fingerprint", Words()),
    *counters("facts", "unreadable"),
    at("imported_at"),
    unique("project_id", "source", "owner", "path"),
)

unreadable_lines = define(
    "ar_unreadable_lines",
    project_id(),
    row_id(),
    column("source", Words()),
    column("path", Words()),
    column("line", Whole()),
    column("reason", Words()),
    column("excerpt", Words()),
    column("was_kept", Flag()),
    at("created_at"),
)
index("ix_ar_unreadable_lines_path", unreadable_lines.c.project_id, unreadable_lines.c.path)

schema_ledger = define(
    "ar_schema",
    column("version", Whole()),
    column("name", Words()),
    at("applied_at"),
    primary_key=("version",),
)
