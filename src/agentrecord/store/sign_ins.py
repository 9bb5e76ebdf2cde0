"""Sign-ins: attempts that are counted before they are judged, refresh tokens that work once, an end that holds.

All of it lies in the record, so that it holds for every process that serves it and survives their restart.
"""

import hashlib
from dataclasses import fields
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import InvalidValue, NotFound
from agentrecord.records.account import Account, SignIn, SignInAttempt
from agentrecord.records.audit import Actor
from agentrecord.records.scope import Scope
from agentrecord.schema import accounts, memberships, refresh_tokens, sign_in_attempts, sign_ins
from agentrecord.store import audit
from agentrecord.store._sql import insert_into, insert_or_replace
from agentrecord.store.accounts import built, forget_sign_ins, selected

FREE_PER_EMAIL = 5
FREE_PER_ADDRESS = 20
LONGEST_WAIT_S = 900
FORGOTTEN_AFTER = timedelta(hours=24)

_ADD = insert_into(sign_ins)
_ADD_TOKEN = insert_into(refresh_tokens)
_COUNT = insert_or_replace(sign_in_attempts, ("subject",), update=("failures", "last_at", "locked_until"))


def _email_subject(email: str) -> str:
    # Not the address itself: whoever tries addresses of strangers should not fill the record with them.
    return "email:" + hashlib.sha256(email.encode()).hexdigest()


def attempt(conn: Connection, scope: Scope, email: str, *, address: str | None = None) -> SignInAttempt:
    """Count an attempt to sign in, and return what its password must verify against, or how long to wait.

    It counts as a failure until `start` or `forgive` takes it back, so that attempts side by side are all counted.
    Beyond 5 of an e-mail or 20 of an address each failure doubles the wait, up to 15 minutes; after a day they are
    forgotten.
    """
    given = values.email("email", email)
    free = {_email_subject(given): FREE_PER_EMAIL}
    if address is not None:
        free["address:" + values.name("address", address)] = FREE_PER_ADDRESS
    wait_s = _wait(conn, list(free))
    if wait_s:
        return SignInAttempt(wait_s=wait_s)
    conn.run(delete(sign_in_attempts).where(sign_in_attempts.c.last_at < conn.now - FORGOTTEN_AFTER))
    for subject, free_failures in free.items():
        _count(conn, subject, free_failures)
    row = conn.first_map(
        select(accounts.c.id, accounts.c.password_hash).where(
            accounts.c.email == given, accounts.c.disabled_at.is_(None), accounts.c.password_hash.is_not(None)
        )
    )
    return SignInAttempt() if row is None else SignInAttempt(account=row["id"], password_hash=row["password_hash"])


def _wait(conn: Connection, subjects: list[str]) -> int:
    locked = conn.rows(
        select(sign_in_attempts.c.locked_until)
        .where(sign_in_attempts.c.subject.in_(subjects), sign_in_attempts.c.locked_until > conn.now)
        .with_for_update()
    )
    longest = max((row[0] - conn.now for row in locked), default=timedelta(0))
    return -(-longest // timedelta(seconds=1))


def _count(conn: Connection, subject: str, free: int) -> None:
    row = conn.first(select(sign_in_attempts.c.failures).where(sign_in_attempts.c.subject == subject).with_for_update())
    failures = 1 + (0 if row is None else row[0])
    # From the last free failure on: 2 s, 4 s, 8 s … The exponent is capped too, because failures have no end.
    wait_s = min(2 ** min(failures - free + 1, 20), LONGEST_WAIT_S) if failures >= free else 0
    locked = conn.now + timedelta(seconds=wait_s) if wait_s else None
    conn.run(_COUNT, {"subject": subject, "failures": failures, "last_at": conn.now, "locked_until": locked})


def fail(conn: Connection, scope: Scope, email: str, *, address: str | None = None) -> None:
    """Write into the audit trail that somebody could not sign in."""
    by = Actor(kind="nobody", name="nobody", origin=address)
    audit.record_by(conn, scope, by, "sign-in.failed", "email", values.email("email", email))


def start(
    conn: Connection,
    scope: Scope,
    account: UUID,
    *,
    expires_at: datetime,
    address: str | None = None,
    refresh_hash: bytes | None = None,
) -> SignIn:
    """Sign an account in, to the scope's project if it is a member there, else to the first that it is a member of.

    Its failed attempts are forgotten. Raises `NotFound` for an account that is disabled or member of nothing.
    """
    found = [built(row) for row in conn.maps(
        selected().where(accounts.c.id == account, accounts.c.disabled_at.is_(None)).order_by(memberships.c.created_at)
    )]  # fmt: skip
    if not found:
        raise NotFound("account", account)
    member = next((one for one in found if one.project_id == scope.project), found[0])
    forget_sign_ins(conn, account)
    _forgive(conn, member.email, address)
    made = SignIn(
        id=conn.new_id(),
        project_id=member.project_id,
        account_uuid=account,
        address=None if address is None else values.name("address", address),
        created_at=conn.now,
        expires_at=values.moment("expires_at", expires_at),
    )
    conn.run(_ADD, {field.name: getattr(made, field.name) for field in fields(made)})
    if refresh_hash is not None:
        _add_token(conn, made.id, refresh_hash)
    _audit(conn, scope, member, address, "sign-in", made.id)
    return made


def _forgive(conn: Connection, email: str, address: str | None) -> None:
    conn.run(delete(sign_in_attempts).where(sign_in_attempts.c.subject == _email_subject(email)))
    if address is not None:
        # Only this attempt: others from the same address were failures, whoever signs in there.
        conn.run(
            update(sign_in_attempts)
            .where(sign_in_attempts.c.subject == f"address:{address}", sign_in_attempts.c.failures > 0)
            .values(failures=sign_in_attempts.c.failures - 1, locked_until=None)
        )


def forgive(conn: Connection, scope: Scope, email: str, *, address: str | None = None) -> None:
    """Take back an attempt whose password was right and that starts no sign-in, and the failed ones of its e-mail."""
    _forgive(conn, values.email("email", email), None if address is None else values.name("address", address))


def find(conn: Connection, scope: Scope, sign_in: UUID) -> Account | None:
    """Return who is signed in by `sign_in`, as a member of the project that it is for; None if it does not hold.

    Role, membership and the account's state are those of this moment.
    """
    row = conn.first_map(
        selected()
        .join(
            sign_ins,
            (sign_ins.c.account_uuid == accounts.c.id) & (sign_ins.c.project_id == memberships.c.project_id),
        )
        .where(
            sign_ins.c.id == sign_in,
            sign_ins.c.ended_at.is_(None),
            sign_ins.c.expires_at > conn.now,
            accounts.c.disabled_at.is_(None),
        )
    )
    return None if row is None else built(row)


def refresh(
    conn: Connection, scope: Scope, token_hash: bytes, *, new_hash: bytes, address: str | None = None
) -> SignIn | None:
    """Take a refresh token, which works once, and keep `new_hash` in its place; None for one that is unknown.

    A token that comes twice was stolen from one of its two bearers: its sign-in is ended, and returned as ended.
    """
    used = conn.first(
        update(refresh_tokens)
        .where(refresh_tokens.c.token_hash == token_hash, refresh_tokens.c.used_at.is_(None))
        .values(used_at=conn.now)
        .returning(refresh_tokens.c.sign_in_uuid)
    )
    known = used or conn.first(select(refresh_tokens.c.sign_in_uuid).where(refresh_tokens.c.token_hash == token_hash))
    if known is None:
        return None
    sign_in = known[0]
    if used is None:
        return end(conn, scope, sign_in, because="refresh token used twice", address=address)
    if find(conn, scope, sign_in) is None:
        return _get(conn, sign_in)
    _add_token(conn, sign_in, new_hash)
    return _get(conn, sign_in)


def end(
    conn: Connection, scope: Scope, sign_in: UUID, *, because: str = "signed out", address: str | None = None
) -> SignIn:
    """End a sign-in: its access tokens, refresh tokens and cookies are refused from now on."""
    found = _get(conn, sign_in)
    if found.ended_at is not None:
        return found
    conn.run(update(sign_ins).where(sign_ins.c.id == sign_in).values(
        ended_at=conn.now, ended_because=values.name("because", because)))  # fmt: skip
    member = conn.first_map(
        selected().where(accounts.c.id == found.account_uuid, memberships.c.project_id == found.project_id)
    )
    if member is not None:
        action = "sign-out" if because == "signed out" else "sign-in.revoked"
        _audit(conn, scope, built(member), address, action, sign_in)
    return _get(conn, sign_in)


def _get(conn: Connection, sign_in: UUID) -> SignIn:
    row = conn.first_map(select(sign_ins).where(sign_ins.c.id == sign_in))
    if row is None:
        raise NotFound("sign-in", sign_in)
    return SignIn(**row)


def _add_token(conn: Connection, sign_in: UUID, token_hash: bytes) -> None:
    if len(token_hash) != hashlib.sha256().digest_size:
        raise InvalidValue("refresh_hash", token_hash, "must be the 32 bytes of a SHA-256 hash")
    row = {"token_hash": token_hash, "sign_in_uuid": sign_in, "created_at": conn.now, "used_at": None}
    conn.run(_ADD_TOKEN, row)


def _audit(conn: Connection, scope: Scope, member: Account, address: str | None, action: str, sign_in: UUID) -> None:
    by, own = Actor(kind="account", name=member.email, origin=address), Scope(project=member.project_id)
    # In the trail of the project that the account signs in to, which need not be the caller's.
    conn.enter_scope(own)
    audit.record_by(conn, own, by, action, "sign-in", str(sign_in))
    conn.enter_scope(scope)
