"""The rules for growing past one machine, read from PostgreSQL's catalogue and from SQLite's."""

from collections.abc import Iterator
from typing import Any

import pytest

from agentrecord.schema import GLOBAL_TABLES, metadata
from agentrecord.store import Store
from databases import Databases
from sending import wrong_with

_JOIN = "SELECT 1 FROM agentrecord.ar_messages AS m JOIN agentrecord.ar_sessions AS s ON {} WHERE m.project_id = %s"


@pytest.fixture(scope="module")
def catalogue(databases: Databases) -> Iterator[Any]:
    """Return a connection to a migrated PostgreSQL database."""
    import psycopg

    url = databases.create("postgresql")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
    databases.drop(url)


def test_project_id_comes_first_in_every_key(catalogue: Any) -> None:
    rows = catalogue.execute(
        """SELECT c.conrelid::regclass::text, c.contype::text, a.attname FROM pg_constraint c
           JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
           WHERE c.connamespace = 'agentrecord'::regnamespace AND c.contype IN ('p', 'u', 'f')
           UNION ALL
           SELECT i.indrelid::regclass::text, 'i', a.attname FROM pg_index i
           JOIN pg_class k ON k.oid = i.indexrelid
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
           WHERE k.relnamespace = 'agentrecord'::regnamespace AND i.indisunique"""
    ).fetchall()
    tables = {table.removeprefix("agentrecord.") for table, _, _ in rows}
    assert tables == {*metadata.tables, "ar_search"}
    wrong = {
        (table, kind, first)
        for table, kind, first in rows
        if table.removeprefix("agentrecord.") not in GLOBAL_TABLES and first != "project_id"
    }
    assert wrong == set()


def test_nothing_stands_in_the_way_of_many_machines(catalogue: Any) -> None:
    ours = "('agentrecord'::regnamespace, 'system'::regnamespace, 'agent_sdk'::regnamespace)"
    for what, query in {
        "sequences": f"SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace IN {ours}",
        "functions": f"SELECT proname FROM pg_proc WHERE pronamespace IN {ours}",
        "triggers": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
        "rules": f"SELECT r.rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class"
        f" WHERE c.relnamespace IN {ours} AND r.rulename <> '_RETURN'",
        "deferrable keys": "SELECT conname FROM pg_constraint WHERE condeferrable",
        "defaults that run something": "SELECT adrelid::regclass::text, pg_get_expr(adbin, adrelid) FROM pg_attrdef"
        " WHERE pg_get_expr(adbin, adrelid) ~ '\\('",
    }.items():
        assert catalogue.execute(query).fetchall() == [], what


def test_every_table_but_the_named_ones_has_a_project(catalogue: Any) -> None:
    without = {name for name, table in metadata.tables.items() if "project_id" not in table.c}
    assert without <= GLOBAL_TABLES
    assert {name for name in GLOBAL_TABLES if name not in metadata.tables} == set()


def test_sqlite_holds_types_and_keys_strictly() -> None:
    with Store("memory:") as store:
        rows = store.engine.read(lambda conn: conn.text("SELECT name, strict, type FROM pragma_table_list"))
        ours = {name: strict for name, strict, kind in rows if kind == "table" and name.startswith("ar_")}
        loose = {name for name, strict in ours.items() if not strict and not name.startswith("ar_search_index")}
        assert loose == set()
        assert set(metadata.tables) <= set(ours)
        assert store.engine.read(lambda conn: conn.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")) == []


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE agentrecord.ar_runs SET updated_at=now() WHERE agentrecord.ar_runs.project_id = %s",
        "INSERT INTO agentrecord.ar_users (project_id) VALUES (%s) ON CONFLICT (x) DO UPDATE SET y = random()",
        "SET search_path TO x",
        "SELECT pg_advisory_lock(1)",
        "SELECT id FROM agentrecord.ar_runs WHERE id = %s",
        "UPDATE agentrecord.ar_runs SET status = %s WHERE agentrecord.ar_runs.id = %s",
        "INSERT INTO agentrecord.ar_runs (id) VALUES (%s)",
        _JOIN.format("s.id = m.session_uuid"),
        "SELECT 1 FROM agentrecord.ar_runs JOIN agentrecord.ar_users ON ar_users.x = 1 WHERE ar_runs.project_id = %s",
    ],
)  # fmt: skip
def test_the_check_of_what_is_sent_finds_what_breaks_a_rule(sql: str) -> None:
    assert wrong_with(sql) != []


def test_the_check_of_what_is_sent_lets_the_rest_pass() -> None:
    for sql in (
        _JOIN.format("s.project_id = m.project_id AND s.id = m.session_uuid"),
        "SELECT id FROM agentrecord.ar_runs WHERE project_id = %s",
        "SELECT name FROM agentrecord.ar_hosts",
        "UPDATE agentrecord.ar_runs SET status=%s WHERE agentrecord.ar_runs.project_id = %s",
    ):
        assert wrong_with(sql) == []
