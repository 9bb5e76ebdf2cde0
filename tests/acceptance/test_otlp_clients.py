"""OpenTelemetry's own exporter against a server of its own process, killed under load: what it said it has is there."""

import itertools
import random
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from faults_processes import PATIENCE_S, wait_for
from faults_record import faults_of
from faults_server import free_port, serving
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from agentrecord.records.scope import Role
from agentrecord.store import Store
from counts import count

CLIENTS = 3
NUMBERS = itertools.count()


class Kept(SpanProcessor):
    """Keeps finished spans, for a client that sends them itself."""

    def __init__(self) -> None:
        """Begin with none."""
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span."""
        self.spans.append(span)


def exporter(port: int, key: str, *, patience_s: float = 10) -> SpanExporter:
    """Return what sends spans in protobuf, compressed."""
    return OTLPSpanExporter(
        endpoint=f"http://127.0.0.1:{port}/v1/traces",
        headers={"Authorization": f"Bearer {key}"},
        compression=Compression.Gzip,
        timeout=patience_s,
    )


def provider_of(processor: SpanProcessor) -> TracerProvider:
    """Return what makes spans that a processor is given."""
    made = TracerProvider(resource=Resource.create({"service.name": "drill"}))
    made.add_span_processor(processor)
    return made


def work(provider: TracerProvider, session: str) -> None:
    """Make the spans of an agent that asks a model once, and never the same."""
    number = next(NUMBERS)
    tracer = provider.get_tracer("drill")
    with tracer.start_as_current_span("invoke_agent drill") as agent:
        agent.set_attributes({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "drill",
                              "gen_ai.conversation.id": session})  # fmt: skip
        with tracer.start_as_current_span("chat gpt-4o") as request:
            request.set_attributes({
                "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
                "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3,
                "gen_ai.input.messages": f'[{{"role":"user","parts":[{{"type":"text","content":"ask {number}"}}]}}]',
                "gen_ai.output.messages": f'[{{"role":"assistant","content":"answer {number}"}}]',
            })  # fmt: skip


def test_the_sdk_sends_its_spans_and_they_are_a_session(tmp_path: Path) -> None:
    path, port = tmp_path / "record.db", free_port()
    with Store(str(path)) as store:
        key = store.keys.create("sdk", role=Role.WRITE).secret
    with serving(path, port):
        provider = provider_of(BatchSpanProcessor(exporter(port, key)))
        for _ in range(3):
            work(provider, "talk")
        provider.shutdown()
    with Store(str(path)) as store:
        session = store.sessions.get("talk")
        assert (session.run_count, session.usage.calls, session.usage.input_tokens) == (3, 3, 21)
        assert [m.content.split()[0] for m in store.messages.list(session.id)] == ["ask", "answer"] * 3
        assert {run.agent_id for run in store.runs.list()} == {"drill"}
        assert faults_of(store, []) == []


@dataclass
class Client:
    """Sends traces until the server is gone, and notes the spans that it was told are stored."""

    port: int
    key: str
    session: str
    acknowledged: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Be one client."""
        kept = Kept()
        provider, send = provider_of(kept), exporter(self.port, self.key, patience_s=1)
        result = SpanExportResult.SUCCESS
        while result is SpanExportResult.SUCCESS:
            kept.spans.clear()
            for _ in range(4):
                work(provider, self.session)
            with suppress(OSError):
                result = send.export(kept.spans)
            if result is SpanExportResult.SUCCESS:
                self.acknowledged += [f"{span.context.span_id:016x}" for span in kept.spans]
        send.shutdown()


def test_a_killed_server_keeps_every_span_that_it_acknowledged(tmp_path: Path) -> None:
    path, port, chance = tmp_path / "record.db", free_port(), random.Random(7)
    with Store(str(path)) as store:
        key = store.keys.create("drill", role=Role.WRITE).secret
    acknowledged: set[str] = set()
    for round_ in range(count(2, 15)):
        clients = [Client(port, key, f"talk-{round_}-{number}") for number in range(CLIENTS)]
        with serving(path, port) as (process, _):
            threads = [threading.Thread(target=client.run) for client in clients]
            for thread in threads:
                thread.start()
            wait_for(lambda clients=clients: all(client.acknowledged for client in clients))
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join(PATIENCE_S)
        acknowledged.update(name for client in clients for name in client.acknowledged)
        with Store(str(path)) as store:
            stored = {span.span_id for span in store.traces.spans(limit=10_000)}
            assert acknowledged - stored == set()
            assert faults_of(store, []) == []
    print(f"{len(acknowledged)} spans acknowledged")
