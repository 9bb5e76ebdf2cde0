"""Statements that are alike share their words, and each keeps its values."""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import (
    BindParameter,
    Dialect,
    Executable,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from agentrecord.engine import compiled, postgres, sqlite
from agentrecord.engine.compiled import Compiled, compile_
from agentrecord.schema import agents, runs, users
from agentrecord.schema.types import Whole
from agentrecord.store._sql import contains, total

DIALECTS = [sqlite.new_dialect(), postgres.new_dialect()]


def _in_list(seed: int) -> Executable:
    found = [UUID(int=seed), UUID(int=seed + 1)]
    return (
        select(runs.c.id, func.count().label("n")).where(runs.c.id.in_(found), runs.c.calls > seed).group_by(runs.c.id)
    )


def _same_bind_twice(seed: int) -> Executable:
    at = bindparam("at", type_=runs.c.calls.type)
    known: BindParameter[int] = bindparam("known", seed)
    return select(runs.c.id).where(or_(runs.c.calls > at, runs.c.failed_calls > at), runs.c.calls < known).limit(seed)


def _nested(seed: int) -> Executable:
    one = select(runs.c.user_uuid, total(runs.c.calls + seed).label("n")).group_by(runs.c.user_uuid).subquery("one")
    two = select(users.c.id, literal_column("0", Whole())).where(contains(users.c.name, f"ann {seed}"))
    return union_all(select(one).where(one.c.n > seed), two)


def _written(seed: int) -> Executable:
    named = case((users.c.name == f"a{seed}", f"b{seed}"), else_=users.c.name)
    return update(users).where(users.c.id == UUID(int=seed)).values(name=named, email=bindparam("email"))


def _inserted(seed: int) -> Executable:
    known = select(users.c.id).where(users.c.external_id == f"u{seed}").scalar_subquery()
    key = {"project_id": UUID(int=1), "id": bindparam("id")}
    return insert(agents).values(**key, agent_id=f"a{seed}", name=known).returning(agents.c.id, agents.c.created_at)


def _known(found: Compiled) -> tuple[object, ...]:
    decoded = [(place, decode.__qualname__) for place, decode in found.decoders]
    return found.sql, found.names, dict(found.defaults), found.encoded, found.columns, decoded


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("make", [_in_list, _same_bind_twice, _nested, _written, _inserted])
@pytest.mark.parametrize("schema", [None, "other"])
def test_a_statement_gets_the_words_of_one_alike_and_keeps_its_own_values(
    make: Callable[[int], Executable], dialect: Dialect, schema: str | None
) -> None:
    compile_(make(3), dialect, schema)
    before = len(compiled._kept)

    found = compile_(make(70), dialect, schema)

    assert len(compiled._kept) == before
    assert _known(found) == _known(compile_(make(70), dialect, schema, is_kept=False))
    assert found.defaults != compile_(make(3), dialect, schema).defaults


def test_lists_of_different_lengths_have_words_of_their_own() -> None:
    dialect = DIALECTS[0]
    for ids in ([], [1], [1, 2], [3], []):
        found = compile_(select(runs.c.id).where(runs.c.calls.in_(ids)), dialect, None)
        assert list(found.values(found.defaults)) == ids
        assert found.sql == compile_(select(runs.c.id).where(runs.c.calls.in_(ids)), dialect, None, is_kept=False).sql


def test_a_long_list_is_compiled_each_time() -> None:
    before = dict(compiled._kept)
    ids = list(range(compiled.MOST_LISTED + 1))
    found = compile_(select(runs.c.id).where(runs.c.calls.in_(ids)), DIALECTS[0], None)
    assert list(found.values(found.defaults)) == ids
    assert compiled._kept == before


def test_a_list_of_rows_is_compiled_each_time() -> None:
    rows = [select(runs.c.id).where(tuple_(runs.c.calls, runs.c.run_id).in_([(n, "a"), (n, "b")])) for n in (1, 2)]
    for dialect in DIALECTS:
        for statement in rows:
            found = compile_(statement, dialect, None)
            assert _known(found) == _known(compile_(statement, dialect, None, is_kept=False))


def test_no_more_than_so_many_words_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MOST_KEPT", 3)
    monkeypatch.setattr(compiled, "_kept", {})
    for place in range(10):
        compile_(select(runs.c.id.label(f"c{place}")), DIALECTS[0], None)
        assert 1 <= len(compiled._kept) <= 3


def test_what_is_kept_holds_no_value_of_a_statement() -> None:
    compile_(select(runs.c.id).where(runs.c.objective == "a secret of theirs"), DIALECTS[0], None)

    held = [one._words.defaults for one in compiled._kept.values()]

    assert "a secret of theirs" not in str(held)


@pytest.mark.parametrize("count", [0, 1, compiled.MANY - 1, compiled.MANY, 100])
@pytest.mark.parametrize("statement", [select(runs.c.id, runs.c.started_at, runs.c.objective), select(runs.c.calls)])
def test_many_rows_are_read_as_each_of_them_is(statement: Executable, count: int) -> None:
    found = compile_(statement, DIALECTS[0], None)
    given: list[tuple[object, ...]] = [
        (UUID(int=place).bytes, None if place % 3 else place * 1_000_000, f"o{place}") for place in range(count)
    ]
    rows = [row[: len(found.columns)] for row in given] if found.decoders else [(place,) for place in range(count)]
    read = found.read_all(list(rows))
    assert read == [found.read(row) for row in rows]
    assert all(isinstance(row, tuple) for row in read)
    if found.decoders:
        assert [row[0] for row in read] == [UUID(int=place) for place in range(count)]
