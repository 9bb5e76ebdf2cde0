"""Accounts, the sign-ins that they make, and what ends those."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from agentrecord.exceptions import Conflict, Forbidden, InvalidValue, NotFound
from agentrecord.ids import DEFAULT_PROJECT, new_id
from agentrecord.records.account import SignIn
from agentrecord.records.audit import Actor
from agentrecord.records.scope import Role
from agentrecord.store.sign_ins import FREE_PER_ADDRESS, FREE_PER_EMAIL, LONGEST_WAIT_S
from faces import Facing, covers
from held_clock import HeldClock

HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$b25l"
OTHER = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$dHdv"
ANA = "ana@example.org"


def token(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def signed_in(store: Facing, clock: HeldClock, account: UUID, **more: object) -> SignIn:
    found: SignIn = store.sign_ins.start(account, expires_at=clock.at + timedelta(days=30), **more)
    return found


@covers("accounts.create", "accounts.get", "accounts.find", "accounts.list")
def test_an_account_is_known_by_its_email_whatever_its_case(store: Facing) -> None:
    made = store.accounts.create("  Ana@Example.ORG ", role=Role.ADMIN, name="Ana", password_hash=HASH)
    assert (made.email, made.user, made.role, made.project_id) == (ANA, ANA, Role.ADMIN, DEFAULT_PROJECT)
    assert store.users.get(made.user_uuid).external_id == ANA
    assert store.accounts.get(made.id) == made == store.accounts.find("ANA@example.org")
    other = store.accounts.create("ben@example.org", role=Role.READ)
    assert [a.email for a in store.accounts.list()] == [ANA, "ben@example.org"]
    assert [a.email for a in store.accounts.list(words="BEN", only_enabled=True)] == ["ben@example.org"]
    with pytest.raises(Conflict):
        store.accounts.create(ANA)
    assert store.accounts.find("nobody@example.org") is None
    with pytest.raises(NotFound):
        store.accounts.get(new_id())
    assert HASH not in repr(store.accounts.list().items)
    assert store.rows_in("ar_accounts") == 2
    seen = store.scoped(user=ANA, role=Role.ADMIN)
    assert [a.id for a in seen.accounts.list()] == [made.id]
    with pytest.raises(NotFound):
        seen.accounts.get(other.id)


@pytest.mark.parametrize(
    "email",
    ["", " ", "ana", "@example.org", "ana@", "a@b@c", "a na@b.c", "a\n@b.c", "a\0@b.c", "a" * 300 + "@b.de"],
)
def test_what_is_no_email_makes_no_account(email: str, open_store: Callable[[str, str], Facing]) -> None:
    store = open_store("memory", "sync")
    with pytest.raises(InvalidValue):
        store.accounts.create(email)
    assert store.rows_in("ar_accounts") == store.rows_in("ar_users") == 0


def test_only_a_hash_is_ever_kept_of_a_password(store: Facing) -> None:
    for wrong in ("correct horse battery", "", "$2b$12$x"):
        with pytest.raises(InvalidValue) as refused:
            store.accounts.create(ANA, password_hash=wrong)
        assert not wrong or wrong not in str(refused.value)
    assert store.rows_in("ar_accounts") == store.rows_in("ar_memberships") == 0


@covers("accounts.sign_up")
def test_signing_up_takes_nobodys_rows(store: Facing) -> None:
    assert store.accounts.sign_up(ANA, password_hash=HASH).role is Role.WRITE
    store.users.ensure("ben@example.org")
    for taken in (ANA, "BEN@example.org"):
        with pytest.raises(Conflict):
            store.accounts.sign_up(taken, password_hash=HASH)
    assert store.rows_in("ar_accounts") == 1


@covers("accounts.set_role")
def test_nobody_makes_an_account_more_than_they_are_themselves(store: Facing) -> None:
    made = store.accounts.create(ANA, role=Role.READ)
    admin = store.scoped(role=Role.ADMIN)
    assert admin.accounts.set_role(made.id, Role.ADMIN).role is Role.ADMIN
    for who in (store, admin):
        with pytest.raises(Forbidden):
            who.accounts.set_role(made.id, Role.OPERATOR)
        with pytest.raises(Forbidden):
            who.accounts.create("x@example.org", role=Role.OPERATOR)
    narrow = store.scoped(user=ANA, role=Role.ADMIN)
    with pytest.raises(Forbidden):
        narrow.accounts.set_role(made.id, Role.ADMIN)
    with pytest.raises(Forbidden):
        narrow.accounts.create("x@example.org")
    with pytest.raises(NotFound):
        store.accounts.set_role(new_id(), Role.READ)


@covers("accounts.disable", "accounts.enable", "accounts.set_password")
def test_an_account_of_two_projects_is_changed_by_an_operator_only(store: Facing) -> None:
    made = store.accounts.create(ANA, password_hash=HASH)
    there = store.scoped(project="p")
    with pytest.raises(Conflict):
        there.scoped(role=Role.ADMIN).accounts.create(ANA, password_hash=OTHER)
    assert there.accounts.create(ANA, role=Role.READ, password_hash=OTHER).id == made.id
    assert store.accounts.find_password(made.id) == HASH
    with pytest.raises(Conflict):
        there.accounts.create(ANA)
    admin = there.scoped(role=Role.ADMIN)
    for change in (
        lambda: admin.accounts.disable(made.id),
        lambda: admin.accounts.enable(made.id),
        lambda: admin.accounts.set_password(made.id, OTHER),
    ):
        with pytest.raises(Forbidden):
            change()
    assert admin.accounts.set_role(made.id, Role.WRITE).role is Role.WRITE
    assert store.accounts.get(made.id).role is Role.WRITE
    assert there.accounts.disable(made.id).disabled_at is not None
    assert there.accounts.enable(made.id).disabled_at is None
    assert store.accounts.find_password(made.id) == HASH


@covers("accounts.change")
def test_a_change_of_several_things_is_made_whole_or_not_at_all(store: Facing) -> None:
    made = store.accounts.create(ANA, role=Role.WRITE, password_hash=HASH)
    changed = store.accounts.change(made.id, role=Role.READ, is_disabled=True, password_hash=OTHER)
    assert (changed.role, changed.disabled_at is None) == (Role.READ, False)
    assert store.accounts.change(made.id, is_disabled=False).disabled_at is None
    assert store.accounts.find_password(made.id) == OTHER
    with pytest.raises(InvalidValue):
        store.accounts.change(made.id, role=Role.ADMIN, password_hash="plain")
    with pytest.raises(Forbidden):
        store.accounts.change(made.id, password_hash=HASH, role=Role.OPERATOR)
    assert store.accounts.get(made.id).role is Role.READ
    assert store.accounts.find_password(made.id) == OTHER
    with pytest.raises(NotFound):
        store.accounts.change(new_id())


@covers("accounts.find_password", "accounts.rehash")
def test_a_rehash_never_brings_an_old_password_back(store: Facing) -> None:
    made = store.accounts.create(ANA, password_hash=HASH)
    store.accounts.rehash(made.id, old=HASH, new=OTHER)
    assert store.accounts.find_password(made.id) == OTHER
    store.accounts.rehash(made.id, old=HASH, new=HASH)
    assert store.accounts.find_password(made.id) == OTHER
    assert store.accounts.find_password(new_id()) is None


@covers("sign_ins.start", "sign_ins.find", "sign_ins.end")
def test_a_sign_in_holds_until_it_ends_or_expires(store: Facing, clock: HeldClock) -> None:
    made = store.accounts.create(ANA, password_hash=HASH)
    one, two = signed_in(store, clock, made.id), signed_in(store, clock, made.id, address="10.0.0.1")
    assert store.sign_ins.find(one.id) == made
    assert store.sign_ins.end(one.id, address="10.0.0.1").ended_because == "signed out"
    assert store.sign_ins.end(one.id, because="again").ended_because == "signed out"
    assert store.sign_ins.find(one.id) is None
    assert store.sign_ins.find(two.id) is not None
    clock.advance(days=31)
    assert store.sign_ins.find(two.id) is None
    third = signed_in(store, clock, made.id)
    assert store.rows_in("ar_sign_ins") == 1
    assert store.sign_ins.find(new_id()) is None
    with pytest.raises(NotFound):
        store.sign_ins.end(new_id())
    assert [e.action for e in store.audit.list()][:4] == ["sign-in", "sign-out", "sign-in", "sign-in"]
    assert store.audit.list().items[1].origin == "10.0.0.1"
    assert store.sign_ins.find(third.id) == made


def test_a_change_of_role_counts_at_once_and_a_disabled_account_is_out_at_once(store: Facing, clock: HeldClock) -> None:
    made = store.accounts.create(ANA, role=Role.ADMIN, password_hash=HASH)
    one = signed_in(store, clock, made.id)
    store.accounts.set_role(made.id, Role.READ)
    assert store.sign_ins.find(one.id).role is Role.READ
    store.accounts.disable(made.id)
    assert store.sign_ins.find(one.id) is None
    with pytest.raises(NotFound):
        signed_in(store, clock, made.id)
    assert store.sign_ins.attempt(ANA).password_hash is None
    store.accounts.enable(made.id)
    assert store.sign_ins.find(one.id) is None
    assert store.sign_ins.attempt(ANA).password_hash == HASH


def test_another_password_ends_every_sign_in_but_the_one_that_changed_it(store: Facing, clock: HeldClock) -> None:
    made = store.accounts.create(ANA, password_hash=HASH)
    here, there = signed_in(store, clock, made.id), signed_in(store, clock, made.id)
    store.accounts.set_password(made.id, OTHER, keep=here.id)
    assert store.sign_ins.find(here.id) == made
    assert store.sign_ins.find(there.id) is None
    assert store.sign_ins.attempt(ANA).password_hash == OTHER


def test_an_account_signs_in_to_the_project_that_is_served_or_to_its_own(store: Facing, clock: HeldClock) -> None:
    there = store.scoped(project="p")
    made = there.accounts.create(ANA, password_hash=HASH)
    assert signed_in(store, clock, made.id).project_id == there.scope.project
    store.accounts.create(ANA)
    assert signed_in(store, clock, made.id).project_id == DEFAULT_PROJECT
    assert signed_in(there, clock, made.id).project_id == there.scope.project


@covers("sign_ins.refresh")
def test_a_refresh_token_works_once_and_twice_ends_the_sign_in(store: Facing, clock: HeldClock) -> None:
    made = store.accounts.create(ANA, password_hash=HASH)
    one = signed_in(store, clock, made.id, refresh_hash=token("1"))
    assert store.sign_ins.refresh(token("x"), new_hash=token("y")) is None
    assert store.sign_ins.refresh(token("1"), new_hash=token("2")) == one
    assert store.sign_ins.refresh(token("2"), new_hash=token("3")) == one
    assert store.sign_ins.refresh(token("1"), new_hash=token("4")).ended_because == "refresh token used twice"
    assert store.sign_ins.refresh(token("3"), new_hash=token("5")).ended_at is not None
    assert store.sign_ins.find(one.id) is None
    assert store.rows_in("ar_refresh_tokens") == 3
    assert "sign-in.revoked" in [e.action for e in store.audit.list()]
    with pytest.raises(InvalidValue):
        signed_in(store, clock, made.id, refresh_hash=b"short")


@covers("sign_ins.attempt", "sign_ins.fail")
def test_failures_of_one_email_double_the_wait_and_a_sign_in_forgets_them(store: Facing, clock: HeldClock) -> None:
    made = store.accounts.create(ANA, password_hash=HASH)
    for _ in range(FREE_PER_EMAIL):
        found = store.sign_ins.attempt(ANA)
        assert (found.wait_s, found.account, found.password_hash) == (0, made.id, HASH)
        assert HASH not in repr(found)
        store.sign_ins.fail(ANA, address="10.0.0.9")
    waits = []
    for _ in range(12):
        locked = store.sign_ins.attempt("ANA@example.org")
        assert locked.account is None
        waits.append(locked.wait_s)
        clock.advance(seconds=locked.wait_s)
        assert store.sign_ins.attempt(ANA).wait_s == 0
    assert waits == [min(2**n, LONGEST_WAIT_S) for n in range(1, 13)]
    assert store.sign_ins.attempt(ANA).wait_s == LONGEST_WAIT_S
    signed_in(store, clock, made.id)
    assert store.sign_ins.attempt(ANA).wait_s == 0
    entry = next(e for e in store.audit.list() if e.action == "sign-in.failed")
    assert (entry.object_id, entry.origin, entry.actor) == (ANA, "10.0.0.9", "nobody")


@covers("sign_ins.forgive")
def test_an_attempt_that_was_right_is_taken_back_and_others_of_its_address_stay(store: Facing) -> None:
    store.accounts.create(ANA, password_hash=HASH)
    for number in range(FREE_PER_ADDRESS - 1):
        store.sign_ins.attempt(f"{number}@example.org", address="10.0.0.9")
    for _ in range(FREE_PER_EMAIL + 1):
        assert store.sign_ins.attempt(ANA, address="10.0.0.9").wait_s == 0
        store.sign_ins.forgive(f" {ANA.upper()}", address="10.0.0.9")
    assert store.sign_ins.attempt("one@example.org", address="10.0.0.9").wait_s == 0
    assert store.sign_ins.attempt("another@example.org", address="10.0.0.9").wait_s > 0


def test_an_email_that_nobody_has_is_counted_alike(store: Facing) -> None:
    for _ in range(FREE_PER_EMAIL):
        assert store.sign_ins.attempt("nobody@example.org").wait_s == 0
    assert store.sign_ins.attempt("nobody@example.org").wait_s == 2
    assert "nobody" not in repr(store.sql("SELECT subject FROM ar_sign_in_attempts"))


def test_an_address_that_tries_many_emails_waits_too(store: Facing, clock: HeldClock) -> None:
    made = store.accounts.create(ANA, password_hash=HASH)
    for number in range(FREE_PER_ADDRESS):
        assert store.sign_ins.attempt(f"a{number}@example.org", address="10.0.0.9").wait_s == 0
    assert store.sign_ins.attempt(ANA, address="10.0.0.9").wait_s == 2
    assert store.sign_ins.attempt(ANA, address="10.0.0.8").wait_s == 0
    clock.advance(seconds=2)
    assert store.sign_ins.attempt(ANA, address="10.0.0.9").wait_s == 0
    signed_in(store, clock, made.id, address="10.0.0.9")
    assert store.sign_ins.attempt("b@example.org", address="10.0.0.9").wait_s == 0
    assert store.sign_ins.attempt("c@example.org", address="10.0.0.9").wait_s == 4
    clock.advance(hours=25)
    assert store.sign_ins.attempt("d@example.org", address="10.0.0.9").wait_s == 0
    assert store.rows_in("ar_sign_in_attempts") == 2


def test_what_is_done_to_an_account_is_in_the_audit_trail_with_who_did_it(store: Facing) -> None:
    by = Actor(kind="account", name="root@example.org", origin="10.0.0.1")
    made = store.accounts.create(ANA, by=by)
    store.accounts.set_role(made.id, Role.ADMIN, by=by)
    store.accounts.set_password(made.id, HASH, by=by)
    store.accounts.disable(made.id, by=by)
    store.accounts.enable(made.id, by=by)
    key = store.keys.create("ci", by=by)
    store.keys.revoke(key.key.id, by=by)
    found = list(store.audit.list())[::-1]
    assert [e.action for e in found] == [
        "account.create", "account.role", "account.password", "account.disable", "account.enable",
        "key.create", "key.revoke",
    ]  # fmt: skip
    assert {(e.actor_kind, e.actor, e.origin) for e in found} == {("account", "root@example.org", "10.0.0.1")}
    assert HASH not in repr(found)
    assert key.secret not in repr(found)
    assert store.audit.verify() == ()
