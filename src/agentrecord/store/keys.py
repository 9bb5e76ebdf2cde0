"""API keys: made once, shown once, kept as a keyed hash, found by their public part."""

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import exists, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import Forbidden, InvalidValue, NotFound
from agentrecord.records.audit import SYSTEM, Actor
from agentrecord.records.page import Page
from agentrecord.records.project import ApiKey, NewApiKey
from agentrecord.records.scope import Role, Scope
from agentrecord.schema import accounts, api_keys, memberships, settings, users
from agentrecord.store import audit, people
from agentrecord.store._page import page
from agentrecord.store._sql import insert_into, within

_ADD = insert_into(api_keys)
MARK = "arec"
PEPPER = "key_pepper"
CHECK_CHARS = 8
_KEYS = select(api_keys, users.c.external_id.label("user")).outerjoin(
    users, (users.c.project_id == api_keys.c.project_id) & (users.c.id == api_keys.c.user_uuid)
)

_IS_DISABLED = exists().where(
    memberships.c.project_id == api_keys.c.project_id, memberships.c.user_uuid == api_keys.c.user_uuid,
    accounts.c.id == memberships.c.account_uuid, accounts.c.disabled_at.is_not(None),
)  # fmt: skip


def _key(row: Mapping[str, Any]) -> ApiKey:
    kept = {name: value for name, value in row.items() if name not in ("secret_hash", "page_key", "pepper")}
    return ApiKey(**kept)


def _hash(pepper: bytes, secret: str) -> bytes:
    # 256 random bits need no slow hash: nobody can guess one, and a slow one would be a way to tire the server out.
    # The pepper is for a stolen copy of this table alone: without the settings it verifies nothing.
    return hmac.new(pepper, secret.encode(), hashlib.sha256).digest()


def _check(secret: str) -> str:
    """Return what ends a secret, so that a mistyped or cut one is told from a wrong one, and scanners know ours."""
    return f"{zlib.crc32(secret.encode()):0{CHECK_CHARS}x}"


def create(
    conn: Connection,
    scope: Scope,
    name: str,
    *,
    role: Role = Role.READ,
    user: str | None = None,
    expires_at: datetime | None = None,
    by: Actor = SYSTEM,
) -> NewApiKey:
    """Make a key for the scope's project, and for one `user` of it (the scope's own, if it has one).

    Its secret is in the answer and nowhere else. Raises `Forbidden` for a role that may do more than the scope's own,
    `InvalidValue` for an end that is past.
    """
    if not scope.role.includes(role):
        raise Forbidden(f"the role {scope.role} cannot give the role {role}")
    ends = None if expires_at is None else _to_come(conn, expires_at)
    people.ensure_scope_project(conn, scope)
    owner = people.user_uuid(conn, scope, user) if user is not None else scope.user
    # Secrets are the one thing that a repeated attempt may make anew: the first attempt's was never shown.
    public, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    pepper = people.ensure_setting(conn, scope, PEPPER, secrets.token_bytes(32))
    key = conn.new_id()
    row = {
        "project_id": scope.project,
        "id": key,
        "user_uuid": owner,
        "prefix": public,
        "secret_hash": _hash(pepper, secret),
        "name": values.name("name", name),
        "role": role,
        "created_at": conn.now,
        "expires_at": ends,
        "last_used_at": None,
        "revoked_at": None,
    }
    conn.run(_ADD, row)
    audit.record_by(conn, scope, by, "key.create", "key", str(key), {"name": name, "role": role})
    return NewApiKey(key=_get(conn, scope, key), secret=f"{MARK}_{public}_{secret}{_check(secret)}")


def _to_come(conn: Connection, expires_at: datetime) -> datetime:
    ends = values.moment("expires_at", expires_at)
    if ends <= conn.now:
        raise InvalidValue("expires_at", ends, "is past; name an instant to come")
    return ends


def find(conn: Connection, scope: Scope, secret: str) -> ApiKey | None:
    """Return the key that a secret belongs to; None if there is none, or it expired or was revoked.

    None too for a key of a user whose account is disabled: whoever is out is out with all their programs.
    """
    parts = secret.split("_", 2)
    if len(parts) != 3 or parts[0] != MARK or len(secret) > 200 or not secret.isascii():
        return None
    given, check = parts[2][:-CHECK_CHARS], parts[2][-CHECK_CHARS:]
    if _check(given) != check:
        return None
    row = conn.first_map(
        _KEYS.add_columns(settings.c.value.label("pepper"))
        .join(settings, settings.c.key == PEPPER)
        .where(api_keys.c.prefix == parts[1], ~_IS_DISABLED)
    )
    if row is None or not hmac.compare_digest(row["secret_hash"], _hash(row["pepper"], given)):
        return None
    key = _key(row)
    expired = key.expires_at is not None and key.expires_at <= conn.now
    return None if expired or key.revoked_at is not None else key


def _get(conn: Connection, scope: Scope, key: UUID) -> ApiKey:
    row = conn.first_map(_KEYS.where(*within(scope, api_keys), api_keys.c.id == key))
    if row is None:
        raise NotFound("API key", key)
    return _key(row)


def list_(conn: Connection, scope: Scope, *, limit: int = 50, cursor: str | None = None) -> Page[ApiKey]:
    """Return the keys of the scope's project, the newest first, without their secrets."""
    return page(
        conn, _KEYS.where(*within(scope, api_keys)), _key, sorts={"created_at": api_keys.c.created_at},
        sort="-created_at", row_id=api_keys.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip


def revoke(conn: Connection, scope: Scope, key: UUID, *, by: Actor = SYSTEM) -> ApiKey:
    """Take a key out of use at once."""
    found = _get(conn, scope, key)
    if found.revoked_at is not None:
        return found
    conn.run(update(api_keys).where(*within(scope, api_keys), api_keys.c.id == key).values(revoked_at=conn.now))
    audit.record_by(conn, scope, by, "key.revoke", "key", str(key), {"name": found.name})
    return _get(conn, scope, key)


def note_use(conn: Connection, scope: Scope, key: UUID) -> None:
    """Keep when a key was last used."""
    conn.run(update(api_keys).where(*within(scope, api_keys), api_keys.c.id == key).values(last_used_at=conn.now))
