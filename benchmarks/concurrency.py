"""Many callers at once, each waiting until its turn is on the disk, against one bare caller in a loop."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from agentrecord import AsyncStore, Store
from benchmarks.bare import BareSqlite
from benchmarks.common import Cost, Figure, Samples, Scale, Section, scratch, timed
from benchmarks.turns import append, prepare, records, turn_inputs

CALLERS = 128
EXPLANATION = """\
128 callers append turns to 200 sessions at once; each waits for its own answer, which comes after the commit that
holds it. The baseline is one bare caller in a loop, which the file system's sync and not the processor holds back.
Awaited callers are what the server has; threads pay for being woken one by one."""
CAUSES = """\
a turn in a shared transaction costs about 100 µs of CPU (SQLite 45, Python 55), on one core because of the
interpreter's lock; the bare caller's time is mostly the sync, so that the gain is that sync against those 100 µs: the
faster the disk, the smaller. Threads pay about 50 µs more for each wake-up."""


def _bare(side: BareSqlite, each: int) -> Callable[[], Cost]:
    turns = turn_inputs()
    count = CALLERS * each
    sessions = len(side.rows.known.sessions)

    def work() -> None:
        for number in range(count):
            side.append(number % sessions, next(turns))

    return lambda: timed(work, count)


def _threads(store: Store, ids: list[UUID], each: int, *, indexed: bool) -> Callable[[], Cost]:
    turns = turn_inputs()
    lock = threading.Lock()

    def caller(number: int, ready: threading.Barrier) -> None:
        ready.wait()
        for step in range(each):
            with lock:
                turn = next(turns)
            append(store, ids[(number + step) % len(ids)], turn, indexed=indexed)

    def run() -> Cost:
        ready = threading.Barrier(CALLERS + 1)
        threads = [threading.Thread(target=caller, args=(number, ready)) for number in range(CALLERS)]
        for thread in threads:
            thread.start()
        ready.wait()

        def finish() -> None:
            for thread in threads:
                thread.join()

        return timed(finish, CALLERS * each)

    return run


def _tasks(path: Path, ids: list[UUID], each: int, *, indexed: bool) -> Callable[[], Cost]:
    turns = turn_inputs()

    async def caller(store: AsyncStore, number: int) -> None:
        for step in range(each):
            messages, calls = records(next(turns))
            session = ids[(number + step) % len(ids)]
            await store.messages.append(session, messages, calls=calls, indexed=indexed)

    async def run() -> Cost:
        async with AsyncStore(str(path)) as store:
            messages, calls = records(next(turns))
            await store.messages.append(ids[0], messages, calls=calls, indexed=indexed)
            wall, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(caller(store, number) for number in range(CALLERS)))
            count = CALLERS * each
            return Cost(wall_s=(time.perf_counter() - wall) / count, cpu_s=(time.process_time() - cpu) / count)

    return lambda: asyncio.run(run())


def _figures(folder: Path, scale: Scale, *, indexed: bool) -> list[Figure]:
    each, rounds = scale.of(16, 6), scale.of(9, 3)
    name = "with search index" if indexed else "without search index"
    threaded, ids = prepare(str(folder / f"threads-{indexed}.db"))
    for_async, async_ids = prepare(str(folder / f"async-{indexed}.db"))
    for_bare, _ = prepare(str(folder / f"bare-{indexed}.db"))
    for_async.close()
    for_bare.close()
    bare = BareSqlite(folder / f"bare-{indexed}.db", indexed=indexed)
    samples = Samples().take(
        {
            "bare": _bare(bare, each),
            "async": _tasks(folder / f"async-{indexed}.db", async_ids, each, indexed=indexed),
            "threads": _threads(threaded, ids, each, indexed=indexed),
        },
        rounds,
    )
    threaded.close()
    bare.close()
    return [
        samples.gain(f"128 awaited callers, {name}", "async", "bare", goal=4),
        samples.gain(f"128 threads, {name}", "threads", "bare", goal=2.5),
    ]


def run(scale: Scale) -> Section:
    """Measure many callers."""
    section = Section(title="128 callers at once", explanation=EXPLANATION, causes=CAUSES)
    with scratch() as folder:
        for indexed in (False, True):
            section.figures += _figures(folder, scale, indexed=indexed)
    return section
