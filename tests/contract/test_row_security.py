"""PostgreSQL's own isolation: with the store's conditions taken away, the policies keep every scope to its own."""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
import test_store_isolation as isolation
from sqlalchemy import func, select

from agentrecord.clock import SystemClock
from agentrecord.engine import Connection, Maker
from agentrecord.engine.postgres import PostgresEngine
from agentrecord.engine.row_security import PostgresConnection
from agentrecord.exceptions import AgentRecordError, InvalidValue, NotFound, SchemaMismatch, StoreUnavailable
from agentrecord.ids import new_id
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.scope import Scope
from agentrecord.records.session import NewSession, SessionFilter
from agentrecord.schema import llm_calls, metadata, policies, runs, sessions
from agentrecord.store import AsyncStore, Store
from agentrecord.store.roles import bypass_of, grant
from agentrecord.store.upkeep import is_empty, rows_by_table
from databases import RESTRICTED, Databases, Postgres
from faces import Facing, Loop

OF_PROJECTS = policies.tables()
BOUND = [table for table in OF_PROJECTS if table.name not in policies.LOOKED_UP]
SEARCH = "ar_search"
USER = MessageRole.USER


@pytest.fixture
def store(open_store: Callable[[str, str], Facing]) -> Facing:
    """Return a store on PostgreSQL, opened as the role that row-level security binds."""
    return open_store("postgresql", "sync")


@pytest.fixture
def admin(store: Facing, databases: Databases) -> Iterator[Any]:
    """Return a connection to the same database as the superuser who owns it."""
    (name,) = store.engine.read(lambda conn: conn.text("SELECT current_database()"))[0]
    with psycopg.connect(databases.postgres.server.get_uri(name), autocommit=True) as connection:
        yield connection


@pytest.fixture
def plain(admin: Any, databases: Databases) -> Iterator[Any]:
    """Return a connection to the same database as the bound role: what SQL sees that knows nothing of this package."""
    with psycopg.connect(databases.postgres.restricted(databases.postgres.server.get_uri(admin.info.dbname))) as found:
        yield found


def enter(plain: Any, project: UUID | None, user: UUID | None = None) -> None:
    plain.rollback()
    for name, value in (("project", project), ("user", user)):
        plain.execute("SELECT set_config(%s, %s, true)", (f"app.{name}", "" if value is None else str(value)))


def seen(plain: Any, table: str, column: str = "project_id") -> set[UUID]:
    return {row[0] for row in plain.execute(f"SELECT DISTINCT {column} FROM agentrecord.{table}").fetchall()}


def two_users(store: Facing) -> tuple[Facing, Facing, isolation.Ids]:
    """Fill the record for anna and for ben in project a and for carl in project b; return anna, ben and anna's ids."""
    anna, ben = (store.scoped(project="a").scoped(user=user) for user in ("anna", "ben"))
    ids = isolation.fill(anna)
    session = ben.sessions.create(NewSession(session_id="s")).id
    ben.messages.append(session, [NewMessage(role=USER, content="mine")], calls=[NewLLMCall(model="m", prompt="p")])
    isolation.fill(store.scoped(project="b", user="carl"))
    return anna, ben, ids


# -- the catalogue ----------------------------------------------------------------------------------------------------


def test_every_table_of_a_project_is_bound_even_for_its_owner(admin: Any) -> None:
    rows = admin.execute(
        "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
        " WHERE relnamespace = 'agentrecord'::regnamespace AND relkind IN ('r', 'p')"
    ).fetchall()
    on = {name for name, is_on, _ in rows if is_on}
    assert on == {*[table.name for table in OF_PROJECTS], SEARCH}
    # Searching reads by the owner's rights, through a view that keeps within the project.
    assert {name for name, is_on, forced in rows if is_on and not forced} == {SEARCH}


def test_the_policies_of_the_database_are_those_declared(admin: Any) -> None:
    ask = "SELECT tablename, policyname, cmd, permissive, qual, with_check FROM pg_policies WHERE tablename <> %s"
    migrated = sorted(admin.execute(ask, (SEARCH,)).fetchall())
    for table, policy, *_ in migrated:
        admin.execute(f"DROP POLICY {policy} ON agentrecord.{table}")
    for statement in policies.statements("agentrecord"):
        admin.execute(statement)
    assert sorted(admin.execute(ask, (SEARCH,)).fetchall()) == migrated
    assert {row[0] for row in migrated} == {table.name for table in OF_PROJECTS}


def test_no_policy_but_the_named_ones_is_open(admin: Any) -> None:
    rows = admin.execute("SELECT tablename, cmd FROM pg_policies WHERE qual !~ 'app.project'").fetchall()
    assert sorted(rows) == [(table, "SELECT") for table in sorted(policies.LOOKED_UP)]


def test_views_read_with_the_rights_of_whoever_asks(admin: Any) -> None:
    rows = admin.execute(
        "SELECT c.oid::regclass::text, reloptions, pg_get_viewdef(c.oid) FROM pg_class c WHERE relkind = 'v'"
        " AND relnamespace::regnamespace::text IN ('agentrecord', 'system', 'agent_sdk')"
    ).fetchall()
    assert len(rows) > 5
    own = {name: said for name, options, said in rows if "security_invoker=true" not in (options or ())}
    assert set(own) == {"agentrecord.ar_search_in_project"}
    assert "app.project" in own["agentrecord.ar_search_in_project"]


# -- what plain SQL sees ----------------------------------------------------------------------------------------------


def test_without_a_scope_no_row_is_seen(store: Facing, admin: Any, plain: Any) -> None:
    two_users(store)
    filled = {name for name in (*[t.name for t in BOUND], SEARCH) if seen(admin, name)}
    assert len(filled) > 20
    for name in (*[table.name for table in BOUND], SEARCH, "ar_search_in_project"):
        assert seen(plain, name) == set(), name
    assert seen(admin, "ar_search_in_project") == set()


def test_within_a_project_only_its_rows_are_seen(store: Facing, admin: Any, plain: Any) -> None:
    anna, _, _ = two_users(store)
    mine = anna.scope.project
    enter(plain, mine)
    for name in (*[table.name for table in BOUND if table.name not in policies.SHARED], SEARCH):
        assert seen(plain, name) == seen(admin, name) & {mine}, name
    assert seen(plain, "ar_search_in_project") == {mine}
    for name, shared in policies.SHARED.items():
        assert seen(plain, name) <= {mine, UUID(shared)}


def test_within_a_scope_of_one_user_only_their_rows_are_seen(store: Facing, admin: Any, plain: Any) -> None:
    anna, ben, ids = two_users(store)
    for user in (anna.scope.user, ben.scope.user):
        enter(plain, anna.scope.project, user)
        for table in BOUND:
            if "user_uuid" in table.c:
                assert seen(plain, table.name, "user_uuid") == seen(admin, table.name, "user_uuid") & {user}, table.name
        assert seen(plain, "ar_users", "id") == {user}
    # What hangs on a session or a message is seen with it.
    assert ids["session"] in seen(admin, "ar_coding_sessions", "session_uuid")
    assert seen(plain, "ar_coding_sessions", "session_uuid") == set()
    assert ids["message"] not in seen(plain, SEARCH, "message_uuid")
    assert seen(plain, SEARCH, "message_uuid") == seen(plain, "ar_messages", "id")


def test_searching_may_use_the_index_that_a_policy_would_keep_it_from(store: Facing, admin: Any, plain: Any) -> None:
    anna, _, _ = two_users(store)
    # Few rows are found as well by any other index.
    admin.execute("ALTER TABLE agentrecord.ar_search DROP CONSTRAINT pk_ar_search")
    enter(plain, anna.scope.project)
    plain.execute("SET LOCAL enable_seqscan = off")

    def plan(table: str) -> str:
        ask = f"EXPLAIN SELECT 1 FROM agentrecord.{table} WHERE words @@ to_tsquery('simple', 'hello')"
        return "\n".join(row[0] for row in plain.execute(ask).fetchall())

    assert "ix_ar_search_words" in plan("ar_search_in_project")
    assert "ix_ar_search_words" not in plan(SEARCH)


def test_a_documented_view_shows_only_the_scope(store: Facing, plain: Any) -> None:
    anna, ben, _ = two_users(store)
    ask = "SELECT user_id FROM system.token_usage"
    assert plain.execute(ask).fetchall() == []
    enter(plain, anna.scope.project, ben.scope.user)
    assert plain.execute(ask).fetchall() == [("ben",)]


def test_a_row_of_another_project_or_user_is_not_written(store: Facing, plain: Any) -> None:
    anna, ben, ids = two_users(store)
    add = "INSERT INTO agentrecord.ar_contents (project_id, id, user_uuid, created_at) VALUES (%s, %s, %s, 0)"
    enter(plain, anna.scope.project, anna.scope.user)
    plain.execute(add, (anna.scope.project, new_id(), anna.scope.user))
    for project, user in ((new_id(), anna.scope.user), (anna.scope.project, ben.scope.user)):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            plain.execute(add, (project, new_id(), user))
        enter(plain, anna.scope.project, anna.scope.user)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        plain.execute("UPDATE agentrecord.ar_sessions SET user_uuid = %s", (ben.scope.user,))
    enter(plain, anna.scope.project, ben.scope.user)
    assert (
        plain.execute("UPDATE agentrecord.ar_sessions SET title = 'x' WHERE id = %s", (ids["session"],)).rowcount == 0
    )


def test_the_role_may_change_no_table_and_no_ledger(store: Facing, plain: Any) -> None:
    for statement in (
        "ALTER TABLE agentrecord.ar_sessions DISABLE ROW LEVEL SECURITY",
        "DROP POLICY in_scope ON agentrecord.ar_sessions",
        "CREATE TABLE agentrecord.other (id int)",
        "DELETE FROM agentrecord.ar_schema",
        "TRUNCATE agentrecord.ar_messages",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            plain.execute(statement)
        plain.rollback()


# -- the store with its own conditions taken away ---------------------------------------------------------------------

GLOBAL_ANSWERS = frozenset(
    {"prices.list", "prices.find", "prices.set", "projects.get", "keys.list", "keys.revoke", "sign_ins.find"}
)
"""Answered from tables that are the same for all, or that are looked up before the project is known."""

SHARED_BY_USERS = frozenset(
    {
        "agents.ensure",
        "agents.get",
        "agents.list",
        "agents.create_version",
        "audit.list",
        "audit.trail",
        "errors.groups",
    }
    | {"imports.files", "imports.unreadable", "relations.of", "budgets.status", "budgets.statuses", "budgets.near"}
)
"""Answered from tables that know projects, not users."""


@pytest.mark.parametrize("stranger", ["another project", "another user"])
def test_operations_that_ask_for_anothers_rows_get_none(
    store: Facing, monkeypatch: pytest.MonkeyPatch, stranger: str
) -> None:
    anna, ben, ids = two_users(store)
    whole = store.scoped(project="a")
    entered = ben.scope if stranger == "another user" else store.scoped(project="c").scope
    open_to = GLOBAL_ANSWERS | (SHARED_BY_USERS if stranger == "another user" else frozenset())
    before = isolation.contents(whole, ids["user"])
    for operation, attacks in isolation.MATRIX.items():
        for attack in attacks:
            with monkeypatch.context() as patch:
                # Every statement asks for anna's rows: its conditions, which hold strangers off, are hers.
                patch.setattr(
                    PostgresConnection,
                    "enter_scope",
                    lambda conn, scope: setattr(conn, "_wanted", (entered.project, entered.user)),
                )
                try:
                    found = attack(anna, ids)
                except AgentRecordError:
                    found = None
            if operation not in open_to:
                assert isolation.SECRET not in repr(found), operation
            after = isolation.contents(whole, ids["user"])
            assert {t: r for t, r in after.items() if r != before[t]} == {}, operation


def test_a_statement_that_forgot_its_conditions_sees_only_the_scope(store: Facing) -> None:
    _, ben, ids = two_users(store)

    def forgetful(conn: Connection, scope: Scope) -> list[Any]:
        return [conn.value(select(func.count()).select_from(table)) for table in (sessions, runs, llm_calls)]

    assert ben.run(forgetful) == [1, 0, 1]
    with pytest.raises(NotFound):
        ben.sessions.get(ids["session"])
    assert store.engine.read(lambda conn: forgetful(conn, Scope())) == [0, 0, 0]


# -- one connection, many scopes --------------------------------------------------------------------------------------


def left_behind(conn: Connection) -> list[Any]:
    return [*conn.text("SELECT current_setting('app.project', true), current_setting('app.user', true)")[0]]


def test_scopes_that_take_turns_on_one_connection_leave_nothing_behind(store: Facing, databases: Databases) -> None:
    anna, ben, ids = two_users(store)
    (name,) = store.engine.read(lambda conn: conn.text("SELECT current_database()"))[0]
    url = databases.postgres.restricted(databases.postgres.server.get_uri(name))
    engine = PostgresEngine(url, Maker(SystemClock(), new_id), pool=(1, 1))
    everything = SessionFilter(include_children=True)
    annas = anna.sessions.list(everything).items
    assert len(annas) > 1
    try:
        one, other = (Store(engine=engine, scope=found.scope) for found in (anna, ben))
        for round_ in range(3):
            assert {s.id for s in one.sessions.list(everything)} == {s.id for s in annas}
            assert engine.read(left_behind) in (["", ""], [None, None])
            assert [s.session_id for s in other.sessions.list(everything)] == ["s"]
            with pytest.raises(NotFound):
                other.messages.append(ids["session"], [NewMessage(role=USER, content=f"x{round_}")])
            assert engine.write(left_behind) == ["", ""]
            one.messages.append(ids["session"], [NewMessage(role=USER, content=f"y{round_}")])
            assert engine.write(lambda conn: conn.rows(select(sessions.c.id))) == []
    finally:
        engine.close()


def test_jobs_of_many_scopes_in_one_transaction_each_see_their_own(store: Facing, loop: Loop) -> None:
    scopes = [store.scoped(project=p, user=u).scope for p in ("a", "b") for u in ("anna", "ben")]
    faces = [AsyncStore(engine=store.engine, scope=scope) for scope in scopes]
    said = [NewMessage(role=USER, content="hello")]

    async def write() -> tuple[list[Any], list[Any]]:
        made = await asyncio.gather(*[face.sessions.create(NewSession(session_id="s")) for face in faces])
        calls = [NewLLMCall(model="m", latency_ms=3)]
        own = [f.messages.append(s.id, said, calls=calls) for f, s in zip(faces, made, strict=True)]
        anothers = [f.messages.append(s.id, said) for f, s in zip(faces, [*made[1:], made[0]], strict=True)]
        done = await asyncio.gather(
            *own, *anothers, *[face.run(count_sessions) for face in faces], return_exceptions=True
        )
        return made, done

    def count_sessions(conn: Connection, scope: Scope) -> int:
        return int(conn.value(select(func.count()).select_from(sessions)))

    made, done = loop.run(write())
    assert [len(turn.messages) for turn in done[:4]] == [1] * 4
    assert [type(error) for error in done[4:8]] == [NotFound] * 4
    assert done[8:] == [1] * 4
    for face, session in zip(faces, made, strict=True):
        seen_by = Store(engine=store.engine, scope=face.scope)
        assert [m.content for m in seen_by.messages.list(session.id)] == ["hello"]
        assert [hit.session_uuid for hit in seen_by.messages.search("hello")] == [session.id]
        assert seen_by.usage.report().total.calls == 1
        assert Store(engine=store.engine, scope=replace(face.scope, user=None)).usage.recount() == ()


# -- roles ------------------------------------------------------------------------------------------------------------


def test_the_whole_record_is_counted_one_project_at_a_time(store: Facing, admin: Any) -> None:
    assert is_empty(store.engine)
    two_users(store)
    assert not is_empty(store.engine)
    counted = rows_by_table(store.engine)
    assert set(counted) == set(metadata.tables)
    for name, rows in counted.items():
        assert rows == admin.execute(f"SELECT count(*) FROM agentrecord.{name}").fetchone()[0], name


@pytest.fixture
def postgres(databases: Databases) -> Postgres:
    """Return the server."""
    return databases.postgres


def test_roles_that_nothing_binds_are_told_from_the_others(store: Facing, admin: Any, postgres: Postgres) -> None:
    assert bypass_of(store.engine) is None
    url = postgres.server.get_uri(admin.info.dbname)
    with Store(url) as superuser:
        assert re.search(r"role \w+ is a superuser", str(bypass_of(superuser.engine)))
    admin.execute("ALTER TABLE agentrecord.ar_runs NO FORCE ROW LEVEL SECURITY")
    assert bypass_of(store.engine) == "it is off for ar_runs"
    with Store("memory:") as memory:
        assert bypass_of(memory.engine) is None


def test_an_owner_who_is_no_superuser_is_bound_too(admin: Any, postgres: Postgres) -> None:
    postgres.admin.execute("CREATE ROLE owner_of_one LOGIN")
    url = postgres.create(template=None)
    name = url.split("?")[0].rsplit("/", 1)[1]
    postgres.admin.execute(f"ALTER DATABASE {name} OWNER TO owner_of_one")
    with Store(re.sub(r"(?<=://)[^@]*(?=@)", "owner_of_one", url)) as owner:
        assert bypass_of(owner.engine) is None
        session = owner.sessions.create(NewSession(session_id="s")).id
        owner.messages.append(session, [NewMessage(role=USER, content="hello")])
        assert [hit.session_uuid for hit in owner.messages.search("hello")] == [session]
        assert owner.engine.read(lambda conn: conn.rows(select(sessions.c.id))) == []
        with pytest.raises(InvalidValue, match="owns the tables"):
            grant(owner.engine, "owner_of_one")
    postgres.drop(url)
    postgres.admin.execute("DROP ROLE owner_of_one")


@pytest.mark.parametrize(
    ("made", "error", "told"),
    [
        ("CREATE ROLE strange SUPERUSER", InvalidValue, "superuser"),
        ("CREATE ROLE strange BYPASSRLS", InvalidValue, "NOBYPASSRLS"),
        ("SELECT 1", NotFound, "strange"),
    ],
)
def test_a_role_that_could_see_everything_is_given_nothing(
    admin: Any, postgres: Postgres, made: str, error: type[Exception], told: str
) -> None:
    admin.execute(made)
    try:
        with Store(postgres.server.get_uri(admin.info.dbname)) as store, pytest.raises(error, match=told):
            grant(store.engine, "strange")
        assert admin.execute("SELECT 1 FROM pg_namespace WHERE nspacl::text LIKE '%strange%'").fetchall() == []
    finally:
        admin.execute("DROP ROLE IF EXISTS strange")


def test_a_role_is_granted_again_what_a_migration_made_anew(admin: Any, postgres: Postgres) -> None:
    admin.execute('CREATE ROLE "odd ""name" LOGIN')
    try:
        with Store(postgres.server.get_uri(admin.info.dbname)) as store:
            assert [grant(store.engine, 'odd "name') for _ in range(2)] == ['"odd ""name"'] * 2
        for table in (*metadata.tables, SEARCH):
            may = "SELECT" if table == "ar_schema" else "SELECT, INSERT, UPDATE, DELETE"
            for one in may.split(", "):
                ask = "SELECT has_table_privilege(%s, %s, %s)"
                assert admin.execute(ask, ('odd "name', f"agentrecord.{table}", one)).fetchone()[0], (table, one)
    finally:
        admin.execute('DROP OWNED BY "odd ""name"')
        admin.execute('DROP ROLE "odd ""name"')


def test_a_file_has_no_roles() -> None:
    with Store("memory:") as store, pytest.raises(StoreUnavailable, match="roles are PostgreSQL's"):
        grant(store.engine, "anybody")


def test_an_empty_database_is_migrated_by_its_owner_first(postgres: Postgres) -> None:
    url = postgres.create(template=None)
    engine = PostgresEngine(url, Maker(SystemClock(), new_id))
    try:
        with pytest.raises(SchemaMismatch, match="schema 0"):
            grant(engine, RESTRICTED)
    finally:
        engine.close()
    with pytest.raises(StoreUnavailable, match="permission denied"):
        Store(postgres.restricted(url))
    postgres.drop(url)


def test_scopes_are_no_way_to_send_sql(store: Facing) -> None:
    with pytest.raises(AttributeError):
        store.engine.read(lambda conn: (conn.enter_scope(Scope(project="'; DROP")), conn.text("SELECT 1")))  # type: ignore[arg-type]
