"""Fixtures: a store for every engine and both faces, with a clock that the test holds."""

import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from agentrecord.store import AsyncStore, Store
from databases import ENGINES, Databases
from faces import FACES, OPERATIONS, Facing, Loop
from held_clock import HeldClock
from sending import wrong_with
from turns import Turns

SEEN_SQL: set[str] = set()
TURNS = pytest.StashKey[Turns]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "covers(*operations): the store's operations that a test exercises")
    config.addinivalue_line("markers", "alone: a test that measures time, beside which no other worker runs one")
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[TURNS] = Turns(Path(tempfile.gettempdir()) / f"agentrecord-turns-{worker['testrunuid']}")


def pytest_unconfigure(config: pytest.Config) -> None:
    if TURNS in config.stash:
        config.stash[TURNS].close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if TURNS not in item.config.stash:
        return (yield)
    with item.config.stash[TURNS].turn(is_alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    """Return an event loop on a thread of its own."""
    found = Loop()
    yield found
    found.close()


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Return what makes databases."""
    found = Databases(tmp_path_factory.mktemp)
    yield found
    found.close()


@pytest.fixture
def clock() -> HeldClock:
    """Return the clock that the store of this test reads."""
    return HeldClock()


@pytest.fixture
def open_store(databases: Databases, loop: Loop, clock: HeldClock) -> Iterator[Callable[[str, str], Facing]]:
    """Return what opens a fresh store on an engine, with a face."""
    opened: list[tuple[Store | AsyncStore, str]] = []

    def open_(engine: str, face: str) -> Facing:
        url = databases.create(engine)
        kind = Store if face == "sync" else AsyncStore
        made = kind(url, clock=clock)
        opened.append((made, url))
        return Facing(made, loop, set())

    yield open_
    for made, url in opened:
        made.close()
        databases.give_back(url)


@pytest.fixture(params=[f"{engine}-{face}" for engine in ENGINES for face in FACES])
def store(request: pytest.FixtureRequest, open_store: Callable[[str, str], Facing]) -> Iterator[Facing]:
    """Return a store: the same test runs on every engine, with both faces.

    When the test ends, every operation that it `covers` must have been called, no figure may differ from a recount,
    and what was sent to PostgreSQL must keep the rules for growing past one machine.
    """
    engine, face = request.param.split("-")
    found = open_store(engine, face)
    sent: list[str] = []
    found.engine.observer = sent.append
    yield found
    found.engine.observer = None
    declared = {name for mark in request.node.iter_markers("covers") for name in mark.args}
    assert declared <= set(OPERATIONS), f"no such operation: {declared - set(OPERATIONS)}"
    assert declared <= found.called, f"declared but not called: {declared - found.called}"
    assert found.usage.recount() == ()
    if engine == "postgresql":
        wrong = {sql: said for sql in {*sent} - SEEN_SQL if (said := wrong_with(sql))}
        assert wrong == {}
        SEEN_SQL.update(sent)
