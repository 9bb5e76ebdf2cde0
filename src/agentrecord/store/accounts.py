"""Accounts: who can sign in, and as what they are members of a project.

An account is the whole record's and known by its e-mail; what a project's administrator sees and changes is its
membership there. Passwords come as argon2 hashes only: nothing here ever sees one.
"""

from collections.abc import Mapping
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Update, delete, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import Conflict, Forbidden, InvalidValue, NotFound
from agentrecord.records.account import Account
from agentrecord.records.audit import SYSTEM, Actor
from agentrecord.records.page import Page
from agentrecord.records.scope import Role, Scope
from agentrecord.schema import accounts, memberships, refresh_tokens, sign_ins
from agentrecord.store import audit, people
from agentrecord.store._page import page
from agentrecord.store._sql import contains, insert_into, within

_ADD_ACCOUNT = insert_into(accounts)
_ADD_MEMBERSHIP = insert_into(memberships)
HASH_MARK = "$argon2id$"


_COLUMNS: list[ColumnElement[Any]] = [
    accounts.c.id, accounts.c.email, accounts.c.name, memberships.c.project_id, memberships.c.role,
    memberships.c.user_uuid, accounts.c.email.label("user"), accounts.c.created_at, accounts.c.disabled_at,
]  # fmt: skip


def selected() -> Select[Any]:
    """Return the statement that selects accounts as members of projects.

    It reads no table of a project, because the project is known by its answer only. An account's user is called by
    its e-mail.
    """
    joined = accounts.join(memberships, memberships.c.account_uuid == accounts.c.id)
    return select(*_COLUMNS).select_from(joined)


def built(row: Mapping[str, Any]) -> Account:
    """Return a row of `selected` as a record."""
    return Account(**{name: value for name, value in row.items() if name != "page_key"})


def create(
    conn: Connection,
    scope: Scope,
    email: str,
    *,
    role: Role = Role.WRITE,
    name: str | None = None,
    password_hash: str | None = None,
    by: Actor = SYSTEM,
) -> Account:
    """Make an account and a member of the scope's project of it; its user is the one called by the e-mail.

    An account that another project has keeps its password and name, and only an operator makes it a member here.
    Raises `Conflict` for a member, `Forbidden` for a role beyond the scope's own or for `operator`.
    """
    _manage(scope, role)
    given = values.email("email", email)
    known = conn.first_map(select(accounts).where(accounts.c.email == given))
    if known is not None and (scope.role is not Role.OPERATOR or _is_member(conn, scope, known["id"])):
        raise Conflict("account", given, "exists already")
    user = people.user_uuid(conn, scope, given)
    account = known["id"] if known is not None else _add(conn, given, name, password_hash)
    conn.run(
        _ADD_MEMBERSHIP,
        {
            "project_id": scope.project,
            "account_uuid": account,
            "user_uuid": user,
            "role": role,
            "created_at": conn.now,
        },
    )
    audit.record_by(conn, scope, by, "account.create", "account", str(account), {"email": given, "role": role})
    return get(conn, scope, account)


def sign_up(conn: Connection, scope: Scope, email: str, *, password_hash: str, by: Actor = SYSTEM) -> Account:
    """Make an account for somebody whom nobody vouches for: a writing member of the scope's project.

    Raises `Conflict` for an e-mail that has an account, or that a user of the project is known by already: whoever
    claims it would see that user's rows.
    """
    given = values.email("email", email)
    if people.find_user(conn, scope, given) is not None:
        raise Conflict("account", given, "exists already")
    return create(conn, scope, given, role=Role.WRITE, password_hash=password_hash, by=by)


def get(conn: Connection, scope: Scope, account: UUID) -> Account:
    """Return a member of the scope's project."""
    row = conn.first_map(selected().where(*within(scope, memberships), accounts.c.id == account))
    if row is None:
        raise NotFound("account", account)
    return built(row)


def find(conn: Connection, scope: Scope, email: str) -> Account | None:
    """Return the member of the scope's project with an e-mail, None if there is none."""
    given = values.email("email", email)
    row = conn.first_map(selected().where(*within(scope, memberships), accounts.c.email == given))
    return None if row is None else built(row)


def list_(
    conn: Connection,
    scope: Scope,
    *,
    words: str | None = None,
    only_enabled: bool = False,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Account]:
    """Return the members of the scope's project by their e-mail."""
    statement = selected().where(*within(scope, memberships))
    if words:
        statement = statement.where(contains(accounts.c.email, words))
    if only_enabled:
        statement = statement.where(accounts.c.disabled_at.is_(None))
    return page(
        conn, statement, built, sorts={"email": accounts.c.email}, sort="email",
        row_id=accounts.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip


def set_role(conn: Connection, scope: Scope, account: UUID, role: Role, *, by: Actor = SYSTEM) -> Account:
    """Make a member of the scope's project a reader (`read`), a member (`write`) or an administrator (`admin`)."""
    _manage(scope, role)
    get(conn, scope, account)
    conn.run(
        update(memberships).where(*within(scope, memberships), memberships.c.account_uuid == account).values(role=role)
    )
    audit.record_by(conn, scope, by, "account.role", "account", str(account), {"role": role})
    return get(conn, scope, account)


def disable(conn: Connection, scope: Scope, account: UUID, *, by: Actor = SYSTEM) -> Account:
    """Let an account sign in no more, and end what it is signed in to at once.

    Raises `Forbidden` for an account that other projects have too, unless an operator asks.
    """
    _own(conn, scope, account)
    conn.run(update(accounts).where(accounts.c.id == account, accounts.c.disabled_at.is_(None)).values(
        disabled_at=conn.now))  # fmt: skip
    end_sign_ins(conn, account, "disabled")
    audit.record_by(conn, scope, by, "account.disable", "account", str(account))
    return get(conn, scope, account)


def enable(conn: Connection, scope: Scope, account: UUID, *, by: Actor = SYSTEM) -> Account:
    """Let a disabled account sign in again; raises `Forbidden` as `disable` does."""
    _own(conn, scope, account)
    conn.run(update(accounts).where(accounts.c.id == account).values(disabled_at=None))
    audit.record_by(conn, scope, by, "account.enable", "account", str(account))
    return get(conn, scope, account)


def set_password(
    conn: Connection, scope: Scope, account: UUID, password_hash: str, *, keep: UUID | None = None, by: Actor = SYSTEM
) -> Account:
    """Give an account another password, by its argon2 hash, and end all its sign-ins but `keep`.

    Raises `Forbidden` for an account that other projects have too, unless an operator asks.
    """
    _own(conn, scope, account)
    conn.run(update(accounts).where(accounts.c.id == account).values(password_hash=_checked_hash(password_hash)))
    end_sign_ins(conn, account, "password changed", keep=keep)
    audit.record_by(conn, scope, by, "account.password", "account", str(account))
    return get(conn, scope, account)


def change(
    conn: Connection,
    scope: Scope,
    account: UUID,
    *,
    role: Role | None = None,
    is_disabled: bool | None = None,
    password_hash: str | None = None,
    keep: UUID | None = None,
    by: Actor = SYSTEM,
) -> Account:
    """Change what is given of an account, all of it or nothing; as `set_role`, `set_password`, `disable`, `enable`."""
    if role is not None:
        set_role(conn, scope, account, role, by=by)
    if password_hash is not None:
        set_password(conn, scope, account, password_hash, keep=keep, by=by)
    if is_disabled is not None:
        (disable if is_disabled else enable)(conn, scope, account, by=by)
    return get(conn, scope, account)


def find_password(conn: Connection, scope: Scope, account: UUID) -> str | None:
    """Return the argon2 hash of an account's password, None if it has none."""
    row = conn.first(select(accounts.c.password_hash).where(accounts.c.id == account))
    return None if row is None else row[0]


def rehash(conn: Connection, scope: Scope, account: UUID, *, old: str, new: str) -> None:
    """Replace the hash of an unchanged password by one of today's strength; a password changed meanwhile stays."""
    conn.run(
        update(accounts)
        .where(accounts.c.id == account, accounts.c.password_hash == old)
        .values(password_hash=_checked_hash(new))
    )


def end_sign_ins(conn: Connection, account: UUID, because: str, *, keep: UUID | None = None) -> None:
    """End all sign-ins of an account but `keep`."""
    ended: Update = update(sign_ins).where(sign_ins.c.account_uuid == account, sign_ins.c.ended_at.is_(None))
    if keep is not None:
        ended = ended.where(sign_ins.c.id != keep)
    conn.run(ended.values(ended_at=conn.now, ended_because=because))


def forget_sign_ins(conn: Connection, account: UUID) -> None:
    """Remove the sign-ins of an account that are over by their age, with their refresh tokens."""
    old = select(sign_ins.c.id).where(sign_ins.c.account_uuid == account, sign_ins.c.expires_at <= conn.now)
    conn.run(delete(refresh_tokens).where(refresh_tokens.c.sign_in_uuid.in_(old)))
    conn.run(delete(sign_ins).where(sign_ins.c.account_uuid == account, sign_ins.c.expires_at <= conn.now))


def _add(conn: Connection, email: str, name: str | None, password_hash: str | None) -> UUID:
    account = conn.new_id()
    conn.run(
        _ADD_ACCOUNT,
        {
            "id": account,
            "email": email,
            "name": None if name is None else values.name("name", name),
            "password_hash": None if password_hash is None else _checked_hash(password_hash),
            "created_at": conn.now,
            "disabled_at": None,
        },
    )
    return account


def _is_member(conn: Connection, scope: Scope, account: UUID) -> bool:
    mine = (memberships.c.project_id == scope.project, memberships.c.account_uuid == account)
    return conn.first(select(memberships.c.role).where(*mine)) is not None


def _manage(scope: Scope, role: Role | None = None) -> None:
    """Raise `Forbidden` if the scope may not look after accounts, or not give `role`."""
    if scope.user is not None:
        raise Forbidden("a scope of one user looks after nobody's account")
    if role is not None and (role is Role.OPERATOR or not scope.role.includes(role)):
        raise Forbidden(f"the role {scope.role} cannot make somebody {role}")


def _own(conn: Connection, scope: Scope, account: UUID) -> None:
    """Raise `NotFound` for no member, `Forbidden` for one whose account is not this project's alone."""
    _manage(scope)
    get(conn, scope, account)
    elsewhere = select(memberships.c.project_id).where(
        memberships.c.account_uuid == account, memberships.c.project_id != scope.project
    )
    if scope.role is not Role.OPERATOR and conn.first(elsewhere.limit(1)) is not None:
        raise Forbidden("this account is a member of other projects too: only an operator changes it")


def _checked_hash(password_hash: str) -> str:
    if not values.text("password_hash", password_hash, max_chars=1024).startswith(HASH_MARK):
        raise InvalidValue("password_hash", "…", f"is no argon2 hash; hash the password first ({HASH_MARK}…)")
    return password_hash
