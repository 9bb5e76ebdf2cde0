"""Two servers over one record: what one process ends, locks or changes counts in the other at once."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agentrecord.records.scope import Role
from agentrecord.server.passwords import hashed
from agentrecord.store import Store
from agentrecord.store.sign_ins import FREE_PER_EMAIL

PASSWORD = "correct horse battery"
WITHIN_S = 1.0


class Server:
    """A server of its own process."""

    def __init__(self, port: int) -> None:
        self.at = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, *, bearer: str = "", body: Any = None) -> tuple[int, Any]:
        """Return the status and the JSON of an answer."""
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {bearer}"} if bearer else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.at}{path}", data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                content = answer.read()
                return answer.status, json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def sign_in(self, password: str = PASSWORD, email: str = "ana@example.org") -> tuple[int, Any]:
        return self.ask("POST", "/api/auth/sign-in", body={"email": email, "password": password})

    def me(self, bearer: str) -> int:
        return self.ask("GET", "/api/auth/me", bearer=bearer)[0]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("identity") / "record.db"


@pytest.fixture(scope="module")
def servers(record: Path) -> Iterator[tuple[Server, Server]]:
    with Store(str(record)) as store:
        store.accounts.create("ana@example.org", role=Role.ADMIN, password_hash=hashed(PASSWORD))
    environ = {**os.environ, "AGENTRECORD_URL": str(record)}
    with ExitStack() as stack:
        found, running = [], []
        for _ in range(2):
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            command = [sys.executable, "-m", "agentrecord.cli.main", "serve", "--port", str(port)]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ)
            )
            running.append(process)
            assert process.stdout is not None
            assert "sign-in" in process.stdout.readline()
            found.append(Server(port))
        yield found[0], found[1]
        for process in running:
            process.send_signal(signal.SIGINT)
        assert [process.wait(30) for process in running] == [0, 0]


def refused_within(ask: Callable[[], int]) -> float:
    """Return after how many seconds a credential is refused."""
    started = time.monotonic()
    while ask() != 401:
        assert time.monotonic() - started < WITHIN_S
    return time.monotonic() - started


def test_a_token_of_one_server_lets_in_at_the_other_until_it_is_signed_out(servers: tuple[Server, Server]) -> None:
    here, there = servers
    token = here.sign_in()[1]["access_token"]
    assert (here.me(token), there.me(token)) == (200, 200)
    assert there.ask("POST", "/api/auth/sign-out", bearer=token)[0] == 204
    assert refused_within(lambda: here.me(token)) < WITHIN_S


def test_a_key_that_one_server_revokes_is_dead_at_the_other(servers: tuple[Server, Server]) -> None:
    here, there = servers
    token = here.sign_in()[1]["access_token"]
    made = here.ask("POST", "/api/keys", bearer=token, body={"name": "k"})[1]
    assert there.ask("GET", "/api/calls", bearer=made["secret"])[0] == 200
    assert here.ask("DELETE", f"/api/keys/{made['key']['id']}", bearer=token)[0] == 200
    assert refused_within(lambda: there.ask("GET", "/api/calls", bearer=made["secret"])[0]) < WITHIN_S


def test_a_refresh_token_works_at_either_server_and_once_in_all(servers: tuple[Server, Server]) -> None:
    here, there = servers
    first = here.sign_in()[1]
    body = {"refresh_token": first["refresh_token"]}
    status, second = there.ask("POST", "/api/auth/refresh", body=body)
    assert status == 200
    assert here.ask("POST", "/api/auth/refresh", body=body)[0] == 401
    assert refused_within(lambda: there.me(second["access_token"])) < WITHIN_S


def test_failures_at_two_servers_are_counted_together_and_outlive_both(
    servers: tuple[Server, Server], record: Path
) -> None:
    email = "ben@example.org"
    statuses = [servers[number % 2].sign_in("wrong password", email)[0] for number in range(FREE_PER_EMAIL)]
    assert statuses == [401] * FREE_PER_EMAIL
    assert [server.sign_in(email=email)[0] for server in servers] == [429, 429]
    with Store(str(record)) as another:
        assert another.sign_ins.attempt(email).wait_s > 0


def test_roles_are_those_of_this_moment_in_every_process(servers: tuple[Server, Server], record: Path) -> None:
    with Store(str(record)) as store:
        store.accounts.create("root@example.org", role=Role.ADMIN, password_hash=hashed(PASSWORD))
        account = store.accounts.find("root@example.org")
        assert account is not None
        body = {"email": "root@example.org", "password": PASSWORD}
        token = servers[0].ask("POST", "/api/auth/sign-in", body=body)[1]["access_token"]
        assert [server.ask("GET", "/api/keys", bearer=token)[0] for server in servers] == [200, 200]
        store.accounts.set_role(account.id, Role.WRITE)
        assert [server.ask("GET", "/api/keys", bearer=token)[0] for server in servers] == [403, 403]
        store.accounts.disable(account.id)
        assert [server.me(token) for server in servers] == [401, 401]
