"""Projects, users, and the accounts, memberships, sign-ins and keys that let people and programs in."""

from sqlalchemy import ForeignKeyConstraint

from agentrecord.records.scope import Role
from agentrecord.schema.tables import at, column, define, index, optional, project_id, row_id, serial, unique
from agentrecord.schema.types import Blob, EnumText, Flag, Id, Whole, Words

projects = define(
    "ar_projects",
    row_id(),
    serial(),
    column("name", Words()),
    optional("description"),
    at("created_at"),
    unique("name"),
    primary_key=("id",),
)

settings = define(
    "ar_settings", column("key", Words()), column("value", Blob()), at("updated_at"), primary_key=("key",)
)

serials = define(
    "ar_serials",
    project_id(),
    column("table_name", Words()),
    column("next_serial", Whole()),
    primary_key=("project_id", "table_name"),
)

users = define(
    "ar_users",
    project_id(),
    row_id(),
    serial(),
    column("external_id", Words()),
    optional("name"),
    optional("email"),
    column("is_admin", Flag()),
    at("created_at"),
    at("erased_at", null=True),
    unique("project_id", "external_id"),
    ForeignKeyConstraint(["project_id"], ["ar_projects.id"]),
)

accounts = define(
    "ar_accounts",
    row_id(),
    column("email", Words()),
    optional("name"),
    optional("password_hash"),
    at("created_at"),
    at("disabled_at", null=True),
    unique("email"),
    primary_key=("id",),
)

memberships = define(
    "ar_memberships",
    project_id(),
    column("account_uuid", Id()),
    column("user_uuid", Id()),
    column("role", EnumText(Role)),
    at("created_at"),
    ForeignKeyConstraint(["account_uuid"], ["ar_accounts.id"]),
    ForeignKeyConstraint(["project_id", "user_uuid"], ["ar_users.project_id", "ar_users.id"]),
    primary_key=("project_id", "account_uuid"),
)
index("ix_ar_memberships_account", memberships.c.account_uuid)

sign_ins = define(
    "ar_sign_ins",
    row_id(),
    project_id(),
    column("account_uuid", Id()),
    optional("address"),
    at("created_at"),
    at("expires_at"),
    at("ended_at", null=True),
    optional("ended_because"),
    ForeignKeyConstraint(["account_uuid"], ["ar_accounts.id"]),
    ForeignKeyConstraint(["project_id"], ["ar_projects.id"]),
    primary_key=("id",),
)
index("ix_ar_sign_ins_account", sign_ins.c.account_uuid)

refresh_tokens = define(
    "ar_refresh_tokens",
    column("token_hash", Blob()),
    column("sign_in_uuid", Id()),
    at("created_at"),
    at("used_at", null=True),
    ForeignKeyConstraint(["sign_in_uuid"], ["ar_sign_ins.id"]),
    primary_key=("token_hash",),
)
index("ix_ar_refresh_tokens_sign_in", refresh_tokens.c.sign_in_uuid)

sign_in_attempts = define(
    "ar_sign_in_attempts",
    column("subject", Words()),
    column("failures", Whole()),
    at("last_at"),
    at("locked_until", null=True),
    primary_key=("subject",),
)
index("ix_ar_sign_in_attempts_last", sign_in_attempts.c.last_at)

api_keys = define(
    "ar_api_keys",
    project_id(),
    row_id(),
    optional("user_uuid", Id()),
    column("prefix", Words()),
    column("secret_hash", Blob()),
    column("name", Words()),
    column("role", EnumText(Role)),
    at("created_at"),
    at("expires_at", null=True),
    at("last_used_at", null=True),
    at("revoked_at", null=True),
    unique("prefix"),
    ForeignKeyConstraint(["project_id"], ["ar_projects.id"]),
    primary_key=("project_id", "id"),
)
