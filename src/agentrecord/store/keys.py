"""API keys: made once, shown once, kept as a hash, found by their public part."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import Forbidden, NotFound
from agentrecord.records.page import Page
from agentrecord.records.project import ApiKey, NewApiKey
from agentrecord.records.scope import Role, Scope
from agentrecord.schema import api_keys
from agentrecord.store import people
from agentrecord.store._page import page
from agentrecord.store._sql import insert_into, within

_ADD = insert_into(api_keys)
MARK = "arec"


def _key(row: Mapping[str, Any]) -> ApiKey:
    return ApiKey(**{name: value for name, value in row.items() if name not in ("secret_hash", "page_key")})


def _hash(secret: str) -> bytes:
    # 256 random bits need no slow hash: nobody can guess one, and a slow one would be a way to tire the server out.
    return hashlib.sha256(secret.encode()).digest()


def create(
    conn: Connection, scope: Scope, name: str, *, role: Role = Role.READ, expires_at: datetime | None = None
) -> NewApiKey:
    """Make a key for the scope's project (and user, if it has one); its secret is in the answer and nowhere else.

    Raises `Forbidden` for a role that may do more than the scope's own.
    """
    if not scope.role.includes(role):
        raise Forbidden(f"the role {scope.role} cannot give the role {role}")
    people.ensure_scope_project(conn, scope)
    # Secrets are the one thing that a repeated attempt may make anew: the first attempt's was never shown.
    public, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    row = {
        "project_id": scope.project,
        "id": conn.new_id(),
        "user_uuid": scope.user,
        "prefix": public,
        "secret_hash": _hash(secret),
        "name": values.name("name", name),
        "role": role,
        "created_at": conn.now,
        "expires_at": None if expires_at is None else values.moment("expires_at", expires_at),
        "last_used_at": None,
        "revoked_at": None,
    }
    conn.run(_ADD, row)
    return NewApiKey(key=_key(row), secret=f"{MARK}_{public}_{secret}")


def find(conn: Connection, scope: Scope, secret: str) -> ApiKey | None:
    """Return the key that a secret belongs to; None if there is none, or it expired or was revoked."""
    parts = secret.split("_", 2)
    if len(parts) != 3 or parts[0] != MARK:
        return None
    row = conn.first_map(select(api_keys).where(api_keys.c.prefix == parts[1]))
    if row is None or not hmac.compare_digest(row["secret_hash"], _hash(parts[2])):
        return None
    key = _key(row)
    expired = key.expires_at is not None and key.expires_at <= conn.now
    return None if expired or key.revoked_at is not None else key


def list_(conn: Connection, scope: Scope, *, limit: int = 50, cursor: str | None = None) -> Page[ApiKey]:
    """Return the keys of the scope's project, the newest first, without their secrets."""
    return page(
        conn, select(api_keys).where(*within(scope, api_keys)), _key, sorts={"created_at": api_keys.c.created_at},
        sort="-created_at", row_id=api_keys.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip


def revoke(conn: Connection, scope: Scope, key: UUID) -> ApiKey:
    """Take a key out of use at once."""
    row = conn.first_map(
        update(api_keys)
        .where(*within(scope, api_keys), api_keys.c.id == key)
        .values(revoked_at=conn.now)
        .returning(api_keys)
    )
    if row is None:
        raise NotFound("API key", key)
    return _key(row)
