"""F1 for the server: killed while clients change and delete sessions; what was answered with 2xx is there."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from faults_processes import PATIENCE_S, wait_for
from faults_record import faults_of

from agentrecord.exceptions import NotFound
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.store import Store
from counts import count

CLIENTS, SPARE = 4, 400
PROGRAM = "from agentrecord.cli.main import main; main()"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _answers(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return _ask(port, "GET", "/healthz")[0] == 200
    return False


def _ask(port: int, method: str, path: str, body: object = None, *, key: str = "") -> tuple[int, bytes]:
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
def _server(path: Path, port: int) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Serve a record; yield the process, and the processor time that it took to answer, in seconds."""
    command = [sys.executable, "-c", PROGRAM, "--db", str(path), "serve", "--port", str(port)]
    paths = os.pathsep.join(filter(None, sys.path))
    with (path.parent / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": paths})
    try:
        wait_for(lambda: _answers(port) or process.poll() is not None)
        assert process.poll() is None, (path.parent / "server.log").read_text()[-3000:]
        yield process, _processor_s(process.pid)
    finally:
        process.kill()
        process.wait(PATIENCE_S)


@dataclass
class Clients:
    """Clients that each change a session of their own, and delete spare ones, until the server is gone."""

    port: int
    key: str
    titles: dict[int, int] = field(default_factory=dict)
    tried: dict[int, int] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    answered: int = 0
    unlike: list[tuple[int, bytes]] = field(default_factory=list)
    spare: list[str] = field(default_factory=lambda: [f"spare{n}" for n in range(SPARE)])

    def run(self, number: int) -> None:
        """Be one client."""
        with suppress(OSError, http.client.HTTPException):
            while True:
                wanted = self.tried[number] = self.tried.get(number, 0) + 1
                self._expect(200, "PATCH", f"/api/sessions/client{number}", {"title": f"{wanted}"})
                self.titles[number] = wanted
                if wanted % 5 == 0:
                    name = self.spare.pop()
                    self._expect(204, "DELETE", f"/api/sessions/{name}")
                    self.deleted.add(name)

    def _expect(self, wanted: int, method: str, path: str, body: object = None) -> None:
        status, said = _ask(self.port, method, path, body, key=self.key)
        if status != wanted:
            self.unlike.append((status, said))
        self.answered += 1


def _missing(store: Store, clients: Clients) -> list[str]:
    found = []
    for number, title in clients.titles.items():
        stored = int(store.sessions.get(f"client{number}").title or 0)
        if stored not in (title, clients.tried[number]):
            found.append(f"client{number}: {title} was answered, {stored} is there")
    for name in clients.deleted:
        with suppress(NotFound):
            found.append(f"{name} was deleted, and is there: {store.sessions.get(name)}")
    return found


def test_a_killed_server_keeps_everything_that_it_answered(tmp_path: Path) -> None:
    path, chance, starts = tmp_path / "record.db", random.Random(23), []
    with Store(str(path)) as store:
        key = store.keys.create("drill", role=Role.ADMIN).secret
        for name in [*[f"client{n}" for n in range(CLIENTS)], *[f"spare{n}" for n in range(SPARE)]]:
            store.sessions.create(NewSession(session_id=name))
    clients = Clients(_free_port(), key)
    for _ in range(count(3, 20)):
        with _server(path, clients.port) as (process, took):
            starts.append(took)
            before = clients.answered
            threads = [threading.Thread(target=clients.run, args=(number,)) for number in range(CLIENTS)]
            for thread in threads:
                thread.start()
            wait_for(lambda before=before: clients.answered > before + CLIENTS)
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join(PATIENCE_S)
        with Store(str(path)) as store:
            assert clients.unlike == []
            assert _missing(store, clients) == []
            assert faults_of(store, []) == []
    print(
        f"{clients.answered} answers, {len(clients.deleted)} deleted, started within {max(starts):.2f} s of computing"
    )
    assert clients.deleted
    assert max(starts) < 1.0
