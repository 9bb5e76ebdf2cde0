"""Projects, users, settings, keys and agents: made when first named, and found again."""

from datetime import UTC, datetime, timedelta

import pytest

from agentrecord.exceptions import Forbidden, InvalidValue, NotFound
from agentrecord.ids import DEFAULT_PROJECT, new_id
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.store import Store
from faces import Facing, covers
from held_clock import HeldClock


@covers("projects.ensure", "projects.get", "projects.find", "projects.list")
def test_a_project_is_made_once_and_the_default_one_needs_no_making(store: Facing) -> None:
    made = store.projects.ensure("p", description="d 🙂")
    assert store.projects.ensure("p", description="other") == made
    store.sessions.create(NewSession(session_id="s"))
    assert [p.name for p in store.projects.list()] == ["default", "p"]
    assert store.projects.get().id == DEFAULT_PROJECT
    assert store.projects.find("p") == made
    assert store.projects.find("P") is None
    assert store.scoped(project="p").projects.get() == made
    assert len({p.serial for p in store.projects.list()}) == 2
    for role in (Role.READ, Role.WRITE, Role.ADMIN):
        with pytest.raises(Forbidden):
            store.scoped(role=role).projects.list()
        with pytest.raises(Forbidden):
            store.scoped(role=role).projects.find("p")


@covers("users.ensure", "users.get", "users.list", "users.find")
def test_a_user_is_known_by_the_name_that_a_door_gave(store: Facing) -> None:
    anna, ben = store.users.ensure("anna@example.org"), store.users.ensure("Ben 🙂")
    assert store.users.ensure("anna@example.org") == anna == store.users.get(anna.id)
    assert [u.external_id for u in store.users.list()] == ["Ben 🙂", "anna@example.org"]
    assert [u.id for u in store.users.list(words="ANNA")] == [anna.id]
    named = store.users.ensure("anna@example.org", name="Anna", email="Anna@Example.org")
    assert (named.id, named.name, named.email) == (anna.id, "Anna", "anna@example.org")
    assert store.users.ensure("anna@example.org", name="Other", email="other@example.org") == named
    assert store.users.find("anna@example.org") == named
    assert store.users.find("nobody") is None
    seen = store.scoped(user="anna@example.org")
    assert seen.users.find("Ben 🙂") is None
    assert [u.id for u in seen.users.list()] == [anna.id]
    with pytest.raises(NotFound):
        seen.users.get(ben.id)
    with pytest.raises(Forbidden):
        seen.users.ensure("Ben 🙂")
    with pytest.raises(NotFound):
        store.scoped(project="p").users.get(anna.id)


@covers("settings.get", "settings.ensure", "settings.set")
def test_a_setting_is_set_once_by_ensure_and_anew_by_set(store: Facing) -> None:
    assert store.settings.get("k") is None
    assert store.settings.ensure("k", b"\x00\xff") == b"\x00\xff" == store.settings.ensure("k", b"other")
    store.settings.set("k", b"")
    assert store.settings.get("k") == b""
    with pytest.raises(Forbidden):
        store.scoped(role=Role.ADMIN).settings.get("k")


def test_the_keys_of_a_user_whose_account_is_disabled_are_refused_until_it_is_enabled(store: Facing) -> None:
    account = store.accounts.create("ana@example.org")
    store.scoped(project="p").accounts.create("ana@example.org")
    own = store.keys.create("own", user="ana@example.org").secret
    elsewhere = store.scoped(project="p").keys.create("elsewhere", user="ana@example.org").secret
    others = [store.keys.create("project's").secret, store.keys.create("ben's", user="ben@example.org").secret]
    store.accounts.disable(account.id)
    assert [store.keys.find(secret) for secret in (own, elsewhere)] == [None, None]
    assert None not in [store.keys.find(secret) for secret in others]
    store.accounts.enable(account.id)
    assert None not in [store.keys.find(secret) for secret in (own, elsewhere, *others)]


@covers("keys.create", "keys.find", "keys.list", "keys.revoke", "keys.note_use")
def test_a_key_lets_in_until_it_expires_or_is_revoked(store: Facing, clock: HeldClock) -> None:
    made = store.keys.create("ci", role=Role.WRITE, expires_at=clock.at + timedelta(hours=1))
    lasting = store.keys.create("laptop")
    assert store.keys.find(made.secret) == made.key
    assert (made.key.role, made.key.project_id, lasting.key.role) == (Role.WRITE, DEFAULT_PROJECT, Role.READ)
    for wrong in (
        made.secret[:-1],
        made.secret + "x",
        "",
        "arec_x",
        "other_" + made.secret,
        made.secret.upper(),
        "a\0b",
    ):
        assert store.keys.find(wrong) is None
    store.keys.note_use(made.key.id)
    used = store.keys.find(made.secret).last_used_at
    assert used is not None
    assert clock.at - used < timedelta(seconds=1)
    clock.advance(hours=2)
    assert store.keys.find(made.secret) is None
    assert store.keys.find(lasting.secret) is not None
    assert store.keys.revoke(lasting.key.id).revoked_at is not None
    assert store.keys.find(lasting.secret) is None
    assert [k.name for k in store.keys.list()] == ["laptop", "ci"]
    with pytest.raises(NotFound):
        store.keys.revoke(new_id())
    stored = store.sql("SELECT secret_hash FROM ar_api_keys")
    assert all(made.secret.split("_", 2)[2].encode() not in bytes(row[0]) for row in stored)


def test_nobody_gives_a_key_more_than_their_own_role(store: Facing) -> None:
    admin = store.scoped(role=Role.ADMIN)
    with pytest.raises(Forbidden):
        admin.keys.create("k", role=Role.OPERATOR)
    assert admin.keys.create("k", role=Role.ADMIN).key.role is Role.ADMIN
    with pytest.raises(InvalidValue):
        admin.keys.create(" ")
    for wrong in (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)):
        with pytest.raises(InvalidValue):
            admin.keys.create("k", expires_at=wrong)


def test_a_key_may_be_one_users_and_a_copy_of_the_table_verifies_none(store: Facing) -> None:
    made = store.keys.create("anna's", user="anna")
    assert made.key.user == "anna"
    assert store.keys.find(made.secret) == made.key
    assert [k.user for k in store.scoped(user="anna").keys.list()] == ["anna"]
    assert list(store.scoped(user="ben").keys.list()) == []
    with pytest.raises(Forbidden):
        store.scoped(user="ben", role=Role.ADMIN).keys.create("k", user="anna")
    store.settings.set("key_pepper", bytes(32))
    assert store.keys.find(made.secret) is None


def test_a_mistyped_key_is_told_apart_by_its_checksum() -> None:
    with Store("memory:") as store:
        secret = store.keys.create("k").secret
        asked: list[str] = []
        store.engine.observer = asked.append
        assert store.keys.find(secret[:-9] + ("a" if secret[-9] != "a" else "b") + secret[-8:]) is None
        assert asked == []
        assert store.keys.find(secret) is not None


def test_a_narrower_store_never_widens_again(store: Facing) -> None:
    for have, wanted in ((Role.READ, Role.WRITE), (Role.WRITE, Role.ADMIN), (Role.ADMIN, Role.OPERATOR)):
        with pytest.raises(Forbidden):
            store.scoped(role=have).scoped(role=wanted)
    with pytest.raises(Forbidden):
        store.scoped(user="anna").scoped(user="ben")
    with pytest.raises(Forbidden):
        store.scoped(role=Role.ADMIN).scoped(project="other")
    assert store.scoped(role=Role.ADMIN).scoped(role=Role.READ).scope.role is Role.READ


@covers("agents.ensure", "agents.get", "agents.list", "agents.create_version")
def test_an_agent_has_versions_of_which_one_is_active(store: Facing) -> None:
    agent = store.agents.ensure("bot", name="Bot")
    assert store.agents.ensure("bot", name="Other") == agent == store.agents.get("bot")
    store.agents.ensure("aaa")
    assert [a.agent_id for a in store.agents.list()] == ["aaa", "bot"]
    first = store.agents.create_version("bot", "1.0", changes='["x"]')
    second = store.agents.create_version("bot", "1.1")
    assert (first.is_active, second.is_active, first.changes) == (True, True, '["x"]')
    assert store.sql("SELECT version_number FROM ar_agent_versions WHERE deactivated_at IS NULL") == [("1.1",)]
    assert store.agents.create_version("bot", "1.0").id == first.id
    assert store.sql("SELECT version_number FROM ar_agent_versions WHERE deactivated_at IS NULL") == [("1.0",)]
    with pytest.raises(NotFound):
        store.agents.get("nobody")


def test_a_new_user_in_a_new_project_is_made_from_any_door(store: Facing) -> None:
    seen = store.scoped(project="p", user="anna")
    session = seen.sessions.create(NewSession(session_id="s", created_at=datetime(2026, 1, 1, tzinfo=UTC)))
    assert (session.user, session.user_uuid) == ("anna", seen.scope.user)
