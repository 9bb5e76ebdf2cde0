"""A server of its own process, and what asks it."""

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faults_processes import PATIENCE_S, wait_for

PROGRAM = "from agentrecord.cli.main import main; main()"


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _answers(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return ask(port, "GET", "/healthz")[0] == 200
    return False


def ask(port: int, method: str, path: str, body: object = None, *, key: str = "") -> tuple[int, bytes]:
    """Ask a server; return the status and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _processor_s(pid: int) -> float:
    """Return how long a process has computed: unlike the clock's, this time is not other programs'."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(path: Path, port: int) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Serve a record; yield the process, and the processor time that it took to answer, in seconds."""
    command = [sys.executable, "-c", PROGRAM, "--db", str(path), "serve", "--port", str(port)]
    paths = os.pathsep.join(filter(None, sys.path))
    # As an installed package the program has its bytecode: it is compiled once, at the first start.
    kept = {"PYTHONPATH": paths, "PYTHONPYCACHEPREFIX": str(path.parent / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    with (path.parent / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **kept})
    try:
        wait_for(lambda: _answers(port) or process.poll() is not None)
        assert process.poll() is None, (path.parent / "server.log").read_text()[-3000:]
        yield process, _processor_s(process.pid)
    finally:
        process.kill()
        process.wait(PATIENCE_S)
