"""SQL that people write: it reads what its scope sees, within its bounds, and nothing else, whatever it tries."""

import itertools
import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from agentrecord.dashboard.filters import Range
from agentrecord.dashboard.sql_links import STATEMENTS, sql_of
from agentrecord.engine.guest_functions import bind_bounded
from agentrecord.exceptions import Forbidden, InvalidValue
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.records.sql import SqlAnswer
from agentrecord.store import Store
from agentrecord.store.queries import MAX_BYTES, SECONDS
from databases import Databases
from faces import Facing, covers

SECRET = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$b25l"
TRIMS = ("trim", "ltrim", "rtrim")
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def filled(store: Facing) -> Facing:
    """Return a store with two users' sessions in its project, one in another project, an account and a key."""
    for user in ("anna", "ben"):
        session = store.sessions.create(NewSession(session_id=f"s-{user}", title=f"of {user}"), user=user).id
        store.messages.append(
            session, [NewMessage(role=MessageRole.USER, content=f"hello from {user}")],
            calls=[NewLLMCall(model="m", cost_nanos=7)],
        )  # fmt: skip
    other = store.scoped(project="other")
    other.sessions.create(NewSession(session_id="s-foreign", title="of another project"))
    store.accounts.create("root@example.org", role=Role.ADMIN, password_hash=SECRET)
    store.keys.create("a key")
    return store


def names(answer: SqlAnswer) -> list[object]:
    return [row[0] for row in answer.rows]


@covers("queries.run")
def test_a_query_gives_the_rows_of_its_project(filled: Facing) -> None:
    answer = filled.queries.run("SELECT session_id, title FROM ar_sessions ORDER BY session_id;")
    assert (answer.columns, answer.cut_because) == (("session_id", "title"), None)
    assert answer.rows == (("s-anna", "of anna"), ("s-ben", "of ben"))
    assert filled.queries.run("SELECT count(*) FROM ar_sessions").rows == ((2,),)
    assert filled.queries.run("SELECT sum(cost_nanos) FROM ar_llm_calls").rows == ((14,),)
    assert filled.queries.run("SELECT count(*) FROM ar_models").rows == ((1,),)
    assert filled.queries.run("VALUES (1), (2)").rows == ((1,), (2,))


@covers("queries.run")
def test_joins_views_and_common_tables_can_be_asked(filled: Facing) -> None:
    joined = """-- who said how much
        WITH said AS (SELECT session_uuid, count(*) AS n FROM ar_messages GROUP BY session_uuid)
        SELECT s.session_id, u.external_id, said.n FROM ar_sessions AS s
        JOIN said ON said.session_uuid = s.id
        JOIN ar_users AS u ON u.project_id = s.project_id AND u.id = s.user_uuid ORDER BY 1"""
    assert filled.queries.run(joined).rows == (("s-anna", "anna", 1), ("s-ben", "ben", 1))
    assert filled.queries.run("WITH c AS (SELECT 1) SELECT count(*) FROM c").rows == ((1,),)
    assert names(filled.queries.run("SELECT user_id FROM token_usage ORDER BY user_id")) == ["anna", "ben"]
    assert filled.queries.run("SELECT '100% of ''it''', 'set_config(1)'").rows == (("100% of 'it'", "set_config(1)"),)
    ids = names(filled.queries.run("SELECT id FROM ar_sessions WHERE session_id = 's-anna'"))
    assert ids == [str(filled.sessions.get("s-anna").id)]


@covers("queries.tables")
def test_every_table_and_view_that_is_listed_can_be_asked(filled: Facing) -> None:
    tables = filled.queries.tables()
    assert {"ar_sessions", "token_usage", "agent_runs"} <= {table.name for table in tables}
    assert not {"ar_accounts", "ar_api_keys", "ar_sign_ins", "ar_settings"} & {table.name for table in tables}
    for table in tables:
        columns = ", ".join(f'"{column}"' for column in table.columns)
        assert filled.queries.run(f'SELECT {columns} FROM "{table.name}" LIMIT 1').columns == table.columns


REFUSED = (
    "INSERT INTO ar_projects (id, name, created_at) VALUES (1, 'x', 1)", "UPDATE ar_sessions SET title = 'x'",
    "DELETE FROM ar_sessions", "DROP TABLE ar_sessions", "CREATE TABLE x (y INTEGER)",
    "CREATE TEMP TABLE x AS SELECT 1",
    "WITH x AS (SELECT 1) DELETE FROM ar_sessions", "WITH x AS (DELETE FROM ar_sessions RETURNING id) SELECT * FROM x",
    "ATTACH DATABASE 'x.db' AS x", "DETACH DATABASE main", "VACUUM", "PRAGMA query_only=OFF",
    "PRAGMA writable_schema=1",
    "SELECT 1; DELETE FROM ar_sessions", "SELECT 1; SELECT 2", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT x", "ANALYZE",
    "SELECT load_extension('x')", "SELECT * FROM pragma_database_list", "EXPLAIN SELECT 1", "", "-- nothing", "SELEC 1",
    "COPY ar_sessions TO '/tmp/x'", "SET app.project = ''", "DO $$ BEGIN END $$", "SELECT 1 INTO x", "(((", "SELECT (",
    "SELECT pg_sleep(0)", "SELECT pg_read_file('x')", "SELECT set_config('app.project', '', true)", "LISTEN x",
    "SELECT * FROM nowhere", "SELECT * FROM ar_search_text", "SELECT lo_import('/etc/passwd')",
)  # fmt: skip


@covers("queries.run")
def test_whatever_does_not_only_read_is_refused_and_leaves_nothing(filled: Facing) -> None:
    for sql in REFUSED:
        with pytest.raises(InvalidValue) as refused:
            filled.queries.run(sql)
        assert refused.value.field == "sql", sql
    assert [s.session_id for s in filled.sessions.list(sort="created_at")] == ["s-anna", "s-ben"]
    assert filled.queries.run("SELECT count(*) FROM ar_sessions").rows == ((2,),)


SECRETS = (
    "SELECT password_hash FROM {}ar_accounts", "SELECT count(*) FROM {}ar_accounts", "SELECT * FROM {}ar_api_keys",
    'SELECT * FROM {}"ar_api_keys"', "SELECT * FROM {}AR_SETTINGS", "SELECT 1 FROM {}ar_sign_ins",
    "SELECT 1 FROM {}ar_refresh_tokens", "SELECT 1 FROM {}ar_sign_in_attempts", "SELECT 1 FROM {}ar_memberships",
    "WITH ar_sessions AS (SELECT * FROM {}ar_accounts) SELECT * FROM ar_sessions",
    "SELECT (SELECT password_hash FROM {}ar_accounts LIMIT 1) FROM ar_sessions",
    "SELECT title FROM ar_sessions UNION SELECT password_hash FROM {}ar_accounts",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM {}ar_accounts WHERE password_hash LIKE '$argon2%')",
)  # fmt: skip


@covers("queries.run")
def test_what_signs_people_in_cannot_be_read(filled: Facing) -> None:
    prefixes = ("", "main.", "temp.") if filled.engine.dialect.name == "sqlite" else ("", "agentrecord.")
    for sql in SECRETS:
        for prefix in prefixes:
            with pytest.raises(InvalidValue):
                filled.queries.run(sql.format(prefix))


FOREIGN = {
    "sqlite": (
        "SELECT session_id FROM main.ar_sessions", "SELECT count(*) FROM main.ar_sessions",
        "WITH ar_sessions AS (SELECT * FROM main.ar_sessions) SELECT count(*) FROM ar_sessions",
        "SELECT * FROM (SELECT session_id FROM main.ar_sessions) AS ar_sessions",
        "SELECT content FROM ar_search_index", "SELECT * FROM ar_search_index_data", "SELECT * FROM dbstat",
        "SELECT * FROM sqlite_temp_master", "SELECT * FROM main.sqlite_master", "SELECT user_id FROM main.token_usage",
    ),
    "postgresql": (
        "SELECT set_config('app.project', $1, true)", "SELECT \"set_config\"('app.project', 'x', true)",
        "SELECT set_config/**/('app.project', 'x', true)", "SELECT set_config -- x\n ('app.project', 'x', true)",
        "SELECT pg_catalog.set_config('app.project', 'x', true)", "SELECT U&\"set\\005fconfig\"('a', 'b', true)",
        "SELECT /* /* */ 'a' */ set_config('app.project', 'x', true)",
        "SELECT E'\\'', set_config('app.project', 'x', true) --'",
        "SELECT $$a$$, query_to_xml('select 1', true, true, '')",
        "WITH x AS (SELECT set_config('app.user', '', true)) SELECT * FROM x, agentrecord.ar_sessions",
        "SELECT 1 LIMIT length(set_config('app.user', '', true))", "SELECT current_setting('app.project')",
        "SELECT * FROM pg_stat_activity", "SELECT * FROM information_schema.tables",
        "SELECT * FROM ar_search_in_project",
        "SELECT * FROM agentrecord.ar_search", "SELECT 'x'::regclass, database_to_xml(true, true, '')",
    ),
}  # fmt: skip


@covers("queries.run")
def test_what_is_beyond_the_scope_cannot_be_reached(filled: Facing) -> None:
    for sql in FOREIGN[filled.engine.dialect.name]:
        with pytest.raises(InvalidValue):
            filled.queries.run(sql)
    assert filled.queries.run("SELECT count(*) FROM ar_sessions").rows == ((2,),)
    other = filled.scoped(project="other")
    assert names(other.queries.run("SELECT session_id FROM ar_sessions")) == ["s-foreign"]


@covers("queries.run")
def test_one_user_asks_only_where_the_database_itself_keeps_them_apart(filled: Facing) -> None:
    reader = filled.scoped(user="anna", role=Role.READ)
    if filled.engine.dialect.name == "sqlite":
        for asker in (reader, filled.scoped(role=Role.WRITE), filled.scoped(user="anna", role=Role.ADMIN)):
            with pytest.raises(Forbidden):
                asker.queries.run("SELECT 1")
            with pytest.raises(Forbidden):
                asker.queries.tables()
        return
    assert names(reader.queries.run("SELECT session_id FROM ar_sessions")) == ["s-anna"]
    assert names(reader.queries.run("SELECT content FROM ar_messages")) == ["hello from anna"]
    assert names(reader.queries.run("SELECT user_id FROM token_usage")) == ["anna"]
    for shared in ("ar_audit_entries", "ar_error_groups", "ar_imported_files", "ar_unreadable_lines", "ar_projects",
                   "projects", "ar_prices"):  # fmt: skip
        with pytest.raises(InvalidValue):
            reader.queries.run(f"SELECT count(*) FROM {shared}")


@covers("queries.run")
def test_an_endless_query_ends_after_a_second(filled: Facing) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidValue, match="longer than 1 s"):
        filled.queries.run(ENDLESS)
    assert SECONDS * 0.9 <= time.monotonic() - started < 10
    assert filled.queries.run("SELECT 1").rows == ((1,),)


@covers("queries.run")
def test_what_is_more_than_the_limits_is_cut_and_says_so(filled: Facing) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000) SELECT i FROM n"
    if filled.engine.dialect.name == "postgresql":
        many = "SELECT generate_series(1, 10000000)"
    answer = filled.queries.run(many, limit=500)
    assert names(answer) == list(range(1, 501))
    assert answer.cut_because is not None
    assert "500 rows" in answer.cut_because
    assert filled.queries.run("VALUES (1), (2)", limit=2).cut_because is None
    long = "x" * 1_000_000
    session = filled.sessions.get("s-anna").id
    filled.messages.append(session, [NewMessage(role=MessageRole.USER, content=long)])
    wide = filled.queries.run("SELECT a.content FROM ar_messages AS a, ar_messages AS b, ar_messages AS c"
                            " WHERE length(a.content) = 1000000")  # fmt: skip
    assert 0 < len(wide.rows) <= MAX_BYTES / len(long)
    assert wide.cut_because is not None
    assert "bytes" in wide.cut_because
    for limit in (0, 10_001):
        with pytest.raises(InvalidValue):
            filled.queries.run("SELECT 1", limit=limit)


LONG = {
    "sqlite": (
        "SELECT instr({n}, {m} || 'b')", "SELECT length(replace({n}, {m} || 'b', ''))",
        "SELECT length(trim({n}, replace({m}, 'a', 'b') || 'a'))",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT zeroblob(9000000), i FROM n ORDER BY i",
        "SELECT json_patch({n}, {m})",
    ),
    "postgresql": (
        "SELECT strpos({n}, 'b' || {m})", "SELECT position('b' || {m} in {n})", "SELECT replace({n}, 'b' || {m}, '')",
        "SELECT btrim({n}, 'b' || {m})", "SELECT {n} LIKE '%' || {m} || 'b%'", "SELECT {n} ILIKE ({m})",
        "SELECT {n} ~~ {m}", "SELECT {n} !~~* {m}", "SELECT 'x' LIKE 'a' || {m}", "SELECT 'x' LIKE ANY (ARRAY[{m}])",
        "SELECT to_jsonb(array_agg(i)) @> to_jsonb(array_agg(-i)) FROM generate_series(1, 60000) AS i",
        "SELECT 'x' LIKE 'a'\n'b'", "SELECT split_part({n}, {m}, 1)", "SELECT string_to_array({n}, {m})",
    ),
}  # fmt: skip
TEXTS = {
    "sqlite": "replace(hex(zeroblob({})), '00', 'a')",
    "postgresql": "(SELECT string_agg('a', '') FROM generate_series(1, {}))",
}


@covers("queries.run")
def test_what_could_not_be_stopped_is_refused_or_takes_no_time(filled: Facing) -> None:
    dialect = filled.engine.dialect.name
    long, short = (TEXTS[dialect].format(size) for size in (2_000_000, 1_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for sql in LONG[dialect]:
        started = time.monotonic()
        if dialect == "postgresql" or "json_patch" in sql or "zeroblob(9" in sql:
            with pytest.raises(InvalidValue):
                filled.queries.run(sql.format(n=long, m=short))
        else:
            filled.queries.run(sql.format(n=long, m=short))
        assert time.monotonic() - started < 10, sql
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000
    said = "SELECT count(*) FROM ar_sessions WHERE title LIKE 'of a%' OR title NOT LIKE '%e%'"
    assert filled.queries.run(said).rows == ((1,),)


def test_texts_are_found_and_trimmed_as_sqlite_itself_does() -> None:
    texts = ("", "a", "  ab a ", "ÄÖä", 17, None)
    ask = f"SELECT instr(?1, ?2), replace(?1, ?2, ?3), {', '.join(f'{name}(?1), {name}(?1, ?2)' for name in TRIMS)}"
    with closing(sqlite3.connect(":memory:")) as plain, closing(sqlite3.connect(":memory:")) as bounded:
        bind_bounded(bounded)
        for values in itertools.product(texts, texts, ("x", "", None)):
            assert bounded.execute(ask, values).fetchone() == plain.execute(ask, values).fetchone(), values
        for blobs in itertools.product((b"ab", b"b", b"", "b", None), repeat=2):
            found = [driver.execute("SELECT instr(?, ?)", blobs).fetchone() for driver in (plain, bounded)]
            assert found[0] == found[1], blobs


def test_tables_that_others_keep_in_the_same_database_are_not_shown(owners: Store) -> None:
    def share(conn: Any, scope: Any) -> None:
        conn.text("CREATE TABLE public.others (secret text)")
        conn.text("GRANT SELECT ON public.others TO PUBLIC")

    owners.run(share)
    for name in ("public.others", '"public".others', "public . others", "others", "PUBLIC/**/.others"):
        with pytest.raises(InvalidValue):
            owners.queries.run(f"SELECT secret FROM {name}")


@pytest.fixture
def owners(databases: Databases) -> Iterator[Store]:
    """Return a PostgreSQL record opened by the superuser who owns it, whom row-level security does not bind."""
    url = databases.postgres.create()
    with Store(url) as store:
        yield store
    databases.drop(url)


def test_without_row_level_security_only_an_operator_may_ask(owners: Store) -> None:
    with pytest.raises(Forbidden, match="superuser"):
        owners.scoped(role=Role.ADMIN).queries.run("SELECT 1")
    assert owners.queries.run("SELECT 1").rows == ((1,),)


def test_the_question_behind_every_list_runs_on_every_engine(store: Facing) -> None:
    store.sessions.create(NewSession(session_id="s"))
    moment = store.engine.maker.clock.now()
    for path, statement in STATEMENTS.items():
        _, name, by = (*path.split("/"), "")[:3]
        for sort in ("", *[f"-{sort}" for sort in statement.sorts]):
            stretch = Range(name="custom", since=moment, until=moment)
            sql = sql_of(f"/{name}", stretch, query="user:bob -agent:a", sort=sort, by=by)
            assert store.queries.run(sql).columns != (), sql
