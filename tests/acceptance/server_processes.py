"""Servers in processes of their own, started as a user starts them, and what asks them."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from faults_processes import PATIENCE_S, wait_for

PROGRAM = "from agentrecord.cli.main import main; main()"


def free_port() -> int:
    """Return a port of the loopback address that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class ServerProcess:
    """A server of its own process, and of its workers' if it has some."""

    def __init__(self, url: str, log: Path, environ: Mapping[str, str], *options: str) -> None:
        """Start it; `environ` is added to the environment, `options` to the command."""
        self.port = free_port()
        self.log = log
        command = [sys.executable, "-c", PROGRAM, "--db", url, "serve", "--port", str(self.port), *options]
        paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        with log.open("ab") as told:
            self.process = subprocess.Popen(
                command, stdout=told, stderr=told, env={**os.environ, "PYTHONPATH": paths, **environ}
            )

    def said(self) -> str:
        """Return what it logged."""
        return self.log.read_text(errors="replace")

    def wait_until_up(self) -> None:
        """Wait until it answers; fail if it ends first."""
        wait_for(lambda: self._answers() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()[-3000:]

    def _answers(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self.ask("GET", "/healthz")[0] == 200
        return False

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Return the status and the JSON of an answer."""
        connection = self.connect()
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if content else None
        finally:
            connection.close()

    def kill(self) -> None:
        """Kill it without warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def end(self) -> int:
        """End it as Ctrl-C would, and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)


@contextmanager
def serving_process(
    url: str, folder: Path, environ: Mapping[str, str] | None = None, *options: str
) -> Iterator[ServerProcess]:
    """Serve a record from a process of its own for the length of a block."""
    server = ServerProcess(url, folder / "server.log", environ or {}, *options)
    try:
        server.wait_until_up()
        yield server
        if server.process.poll() is None:
            assert server.end() == 0, server.said()[-3000:]
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait(PATIENCE_S)
