"""Spans of traces into the record, against `executemany` of the rows that they become."""

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count as numbers
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agentrecord import Store
from agentrecord.ingest.load import CLOCK_SLACK
from agentrecord.ingest.otlp_facts import derive
from agentrecord.ingest.otlp_protobuf import spans_of_protobuf
from benchmarks.common import Cost, Samples, Scale, Section, scratch, timed

SPANS_A_TRACE = 4
TRACES_A_REQUEST = 128
WORDS = "The quick brown fox jumps over the lazy dog, and the record keeps what it said. "
EXPLANATION = f"""\
Requests as OpenTelemetry's exporter sends them ({SPANS_A_TRACE * TRACES_A_REQUEST} spans in protobuf: an agent, two
requests to a model with their messages, a tool) are decoded, understood and stored: every span as an event, with the
run, the calls (priced), the tool call and the messages (indexed) that it tells of, all figures exact; one durable
commit a request. The bare side writes the rows of all these tables, made already, with one `executemany` a table and
as many durable commits: it decodes nothing, looks for nothing and derives nothing."""
CAUSES = """\
more than half of the time goes into reading the spans and their JSON messages and deriving ids, which the bare side
does not do; the look for what is there already and the figures take most of the rest."""
_SYSTEM_TABLES = ("sqlite_", "ar_schema", "ar_search_index_")


def _attributes(span: Any, told: dict[str, Any]) -> None:
    for name, value in told.items():
        held = span.attributes.add(key=name).value
        if isinstance(value, int):
            held.int_value = value
        else:
            held.string_value = value if isinstance(value, str) else json.dumps(value)


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def _trace(spans: Any, number: int, now: int) -> None:
    trace, at = number.to_bytes(16, "big"), now - 3_600_000_000_000 + number * 1_000_000

    def add(place: int, name: str, told: dict[str, Any], parent: int | None = None) -> None:
        began = at + place * 1000
        span = spans.add(trace_id=trace, span_id=(number * 8 + place).to_bytes(8, "big"), name=name,
                         start_time_unix_nano=began, end_time_unix_nano=began + 900)  # fmt: skip
        if parent is not None:
            span.parent_span_id = (number * 8 + parent).to_bytes(8, "big")
        _attributes(span, told)

    question, answer = (_said(role, f"{WORDS * 4}{number}") for role in ("user", "assistant"))
    asked = {
        "role": "assistant",
        "parts": [{"type": "tool_call", "id": f"use{number}", "name": "look", "arguments": {}}],
    }
    given = {"role": "tool", "parts": [{"type": "tool_call_response", "id": f"use{number}", "response": WORDS}]}
    chat = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 900, "gen_ai.usage.output_tokens": 120}  # fmt: skip
    add(1, "invoke_agent guide", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "guide",
                                  "gen_ai.conversation.id": f"talk{number // 8}"})  # fmt: skip
    add(2, "chat gpt-4o", {**chat, "gen_ai.input.messages": [question], "gen_ai.output.messages": [asked]}, 1)
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look", "gen_ai.tool.call.id": f"use{number}",
            "gen_ai.tool.call.result": WORDS}  # fmt: skip
    add(3, "execute_tool look", tool, 1)
    add(4, "chat gpt-4o", {**chat, "gen_ai.input.messages": [question, asked, given],
                           "gen_ai.output.messages": [answer]}, 1)  # fmt: skip


def requests(count: int) -> list[bytes]:
    """Return so many requests in protobuf, all of different traces."""
    found, number, now = [], numbers(1), time.time_ns()
    for _ in range(count):
        message = ExportTraceServiceRequest()
        spans = message.resource_spans.add().scope_spans.add().spans
        for _ in range(TRACES_A_REQUEST):
            _trace(spans, next(number), now)
        found.append(message.SerializeToString())
    return found


def take(store: Store, bodies: list[bytes]) -> None:
    """Store requests as the server does."""
    latest = store.engine.maker.clock.now() + CLOCK_SLACK
    for body in bodies:
        store.traces.record(spans_of_protobuf(body, latest=latest).spans, derive)


class Bare:
    """The rows that requests become, and how a bare driver writes them."""

    def __init__(self, path: Path, parts: int) -> None:
        """Read the rows of a record, to be written in so many transactions."""
        with sqlite3.connect(path) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            self.tables = [
                (name, connection.execute(f"SELECT * FROM {name}").fetchall())
                for name in names
                if not name.startswith(_SYSTEM_TABLES) and name != "ar_search_index"
            ]
            texts = "SELECT s.id, m.content FROM ar_search s JOIN ar_messages m ON m.id = s.message_uuid"
            self.indexed = connection.execute(texts).fetchall()
        self.parts = parts

    def write(self, path: Path) -> None:
        """Write them into an empty record."""
        connection = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = OFF"):
            connection.execute(f"PRAGMA {setting}")
        for part in range(self.parts):
            connection.execute("BEGIN IMMEDIATE")
            for name, rows in self.tables:
                if mine := rows[part :: self.parts]:
                    marks = ",".join("?" * len(mine[0]))
                    connection.executemany(f"INSERT OR REPLACE INTO {name} VALUES ({marks})", mine)
            insert = "INSERT INTO ar_search_index (rowid, content) VALUES (?, ?)"
            connection.executemany(insert, self.indexed[part :: self.parts])
            connection.execute("COMMIT")
        connection.close()


@contextmanager
def _fresh(empty: Path, folder: Path) -> Iterator[Path]:
    path = folder / "fresh.db"
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(empty, path)
    yield path


def _ours(empty: Path, folder: Path, bodies: list[bytes], spans: int) -> Callable[[], Cost]:
    def run() -> Cost:
        with _fresh(empty, folder) as path, Store(str(path)) as store:
            return timed(lambda: take(store, bodies), spans)

    return run


def _bare(empty: Path, folder: Path, rows: Bare, spans: int) -> Callable[[], Cost]:
    def run() -> Cost:
        with _fresh(empty, folder) as path:
            return timed(lambda: rows.write(path), spans)

    return run


def run(scale: Scale) -> Section:
    """Measure how fast spans come in."""
    section = Section(title="Traces (OTLP)", explanation=EXPLANATION, causes=CAUSES)
    count = scale.of(12, 3)
    bodies = requests(count)
    spans = count * TRACES_A_REQUEST * SPANS_A_TRACE
    with scratch() as folder:
        empty, full = folder / "empty.db", folder / "full.db"
        Store(str(empty)).close()
        with Store(str(full)) as store:
            take(store, bodies)
        rows = Bare(full, count)
        variants = {
            "ours": _ours(empty, folder, bodies, spans),
            "bare": _bare(empty, folder, rows, spans),
        }
        samples = Samples().take(variants, scale.of(5, 3))
        section.figures.append(samples.figure("a span with all that it tells, SQLite, durable", "ours", "bare"))
        written = sum(len(found) for _, found in rows.tables)
        section.notes.append(
            f"Ours: {1 / samples.wall('ours'):,.0f} spans/s, bare: {1 / samples.wall('bare'):,.0f} spans/s; a span is"
            f" {written / spans:.1f} rows on average."
        )
    return section
