"""Our OTLP door against Arize Phoenix's, over HTTP, on the same machine and the same requests.

    python -m venv /tmp/phoenix && /tmp/phoenix/bin/pip install arize-phoenix
    python -m benchmarks.peers --phoenix /tmp/phoenix/bin/phoenix [--requests 24] [--rounds 3]

Phoenix is no dependency: whoever wants the comparison installs it into an environment of its own, and names its
program. Each side is a server of its own process on loopback with a fresh SQLite file and two clients that send
requests of 512 spans in protobuf. Ours answers once the spans are durable; Phoenix answers at once and stores later, so
that its time runs until its own database holds all of them.
"""

import argparse
import contextlib
import os
import secrets
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentrecord import Store
from agentrecord.records.scope import Role
from benchmarks.common import child_environment, scratch
from benchmarks.otlp import SPANS_A_TRACE, TRACES_A_REQUEST, requests

CLIENTS = 2
PATIENCE_S = 300
SPANS_A_REQUEST = SPANS_A_TRACE * TRACES_A_REQUEST


@dataclass(frozen=True, slots=True)
class Side:
    """A server that takes spans: where, with which header, and how many it has stored."""

    url: str
    headers: dict[str, str]
    stored: Callable[[], int]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def _running(command: Sequence[str], folder: Path, ready: str, **environment: str) -> Iterator[None]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=child_environment(**environment))
    try:
        _wait(lambda: _answers(ready), f"{command[0]} does not answer; see {folder / 'server.log'}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status == 200
    return False


def _wait(condition: Callable[[], bool], failure: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(failure)
        time.sleep(0.02)


@contextmanager
def ours(folder: Path) -> Iterator[Side]:
    """Serve a fresh record."""
    path, port = folder / "record.db", _free_port()
    with Store(str(path)) as store:
        key = store.keys.create("bench", role=Role.WRITE).secret
    program = "from agentrecord.cli.main import main; main()"
    command = [sys.executable, "-c", program, "--db", str(path), "serve", "--port", str(port)]
    with _running(command, folder, f"http://127.0.0.1:{port}/healthz"):
        headers = {"Authorization": f"Bearer {key}"}
        yield Side(f"http://127.0.0.1:{port}/v1/traces", headers, lambda: _count(path, "ar_events"))


@contextmanager
def phoenix(program: str, folder: Path) -> Iterator[Side]:
    """Serve a fresh Phoenix."""
    port = _free_port()
    environment = {
        "PHOENIX_WORKING_DIR": str(folder), "PHOENIX_HOST": "127.0.0.1", "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(_free_port()), "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_SECRET": secrets.token_hex(32),
    }  # fmt: skip
    with _running([program, "serve"], folder, f"http://127.0.0.1:{port}/healthz", **environment):
        yield Side(f"http://127.0.0.1:{port}/v1/traces", {}, lambda: _count(folder / "phoenix.db", "spans"))


def _count(path: Path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _send(side: Side, body: bytes) -> None:
    headers = {"Content-Type": "application/x-protobuf", **side.headers}
    while True:
        asked = urllib.request.Request(side.url, body, headers)
        try:
            with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
                answer.read()
                return
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                raise
            time.sleep(0.1)


def measured(side: Side, bodies: Sequence[bytes]) -> tuple[float, float]:
    """Return the spans a second that a side acknowledges, and those that it has stored."""
    count = len(bodies) * SPANS_A_REQUEST
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda body: _send(side, body), bodies))
    answered = time.perf_counter() - began
    _wait(lambda: side.stored() >= count, f"only {side.stored():,} of {count:,} spans are stored")
    return count / answered, count / (time.perf_counter() - began)


def main(given: Sequence[str]) -> None:
    """Measure both sides in turns and print the ratio of each round."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--phoenix", required=True, help="the program of an installed arize-phoenix")
    parser.add_argument("--requests", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args(given)
    bodies = requests(chosen.requests)
    print(f"{len(bodies) * SPANS_A_REQUEST:,} spans in {len(bodies)} requests, {os.cpu_count()} cores", flush=True)
    ratios = []
    for number in range(chosen.rounds):
        with scratch() as folder, ours(folder) as side:
            mine = measured(side, bodies)
        with scratch() as folder, phoenix(chosen.phoenix, folder) as side:
            theirs = measured(side, bodies)
        ratios.append(mine[1] / theirs[1])
        print(
            f"round {number + 1}: ours {mine[0]:,.0f} spans/s acknowledged and durable; Phoenix {theirs[0]:,.0f}"
            f" acknowledged, {theirs[1]:,.0f} stored; {ratios[-1]:.2f} ×", flush=True,
        )  # fmt: skip
    print(f"median: {statistics.median(ratios):.2f} × (goal: ≥ 5 ×)")


if __name__ == "__main__":
    main(sys.argv[1:])
