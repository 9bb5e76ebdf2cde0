"""F1 for the server: killed while clients change and delete sessions; what was answered with 2xx is there."""

import http.client
import random
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from faults_processes import PATIENCE_S, wait_for
from faults_record import faults_of
from faults_server import ask, free_port, serving

from agentrecord.exceptions import NotFound
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.store import Store
from counts import count

CLIENTS, SPARE = 4, 400


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
        status, said = ask(self.port, method, path, body, key=self.key)
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
    clients = Clients(free_port(), key)
    for _ in range(count(3, 20)):
        with serving(path, clients.port) as (process, took):
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
    told = ", ".join(f"{took:.2f}" for took in starts)
    print(f"{clients.answered} answers, {len(clients.deleted)} deleted, started within {told} s of computing")
    assert clients.deleted
    # Whatever else the machine does only adds to it.
    assert min(starts) < 1.0
