"""`agentrecord db grant`, and what the command line says of a PostgreSQL role that nothing binds."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from click.testing import CliRunner, Result

from agentrecord.cli.main import program
from agentrecord.records.session import NewSession
from agentrecord.store import Store
from databases import RESTRICTED, Databases

PROGRAM = "from agentrecord.cli.main import main; main()"


@pytest.fixture
def owned(databases: Databases) -> Iterator[str]:
    """Return the address of a fresh record for the superuser who owns it."""
    url = databases.postgres.create()
    yield url
    databases.drop(url)


@pytest.fixture
def bound(databases: Databases, owned: str) -> str:
    """Return the address of the same record for a role that row-level security binds."""
    return databases.postgres.restricted(owned)


def run(url: str, *words: str) -> Result:
    return CliRunner().invoke(program, ["--db", url, *words])


def isolation(url: str) -> dict[str, str]:
    items = json.loads(run(url, "db", "doctor", "--json").stdout)["items"]
    (found,) = [item for item in items if item["check"] == "isolation"]
    return found  # type: ignore[no-any-return]


def served(url: str, *options: str) -> tuple[str, str]:
    """Serve until the link is printed, or the server gives up; return the first line, and what it told beside."""
    command = [sys.executable, "-c", PROGRAM, "--db", url, "serve", "--port", "0", *options]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        link = running.stdout.readline()
        running.terminate()
        return link, running.stderr.read()


@pytest.fixture
def fresh(databases: Databases, owned: str) -> Iterator[str]:
    """Return the address of the same record for a role that was only just made."""
    with psycopg.connect(owned, autocommit=True) as admin:
        admin.execute("CREATE ROLE fresh LOGIN")
        yield databases.postgres.restricted(owned).replace(f"{RESTRICTED}@", "fresh@")
        admin.execute("DROP OWNED BY fresh")
        admin.execute("DROP ROLE fresh")


def test_a_role_that_was_granted_runs_the_store(owned: str, fresh: str) -> None:
    refused = run(fresh, "sessions")
    assert refused.exit_code != 0
    assert "permission denied" in refused.stderr
    granted = run(owned, "db", "grant", "fresh")
    assert (granted.exit_code, granted.stdout) == (0, "fresh\n")
    with Store(fresh) as store:
        store.sessions.create(NewSession(session_id="s"))
    assert json.loads(run(fresh, "sessions", "--json").stdout)["items"][0]["session_id"] == "s"
    assert json.loads(run(fresh, "db", "info", "--json").stdout)["rows"]["ar_sessions"] == 1


@pytest.mark.parametrize(("role", "told"), [("nobody_here", "nobody_here"), ("postgres", "superuser")])
def test_a_role_that_cannot_be_bound_is_not_granted(owned: str, role: str, told: str) -> None:
    refused = run(owned, "db", "grant", role)
    assert refused.exit_code != 0
    assert told in refused.stderr


def test_doctor_says_whether_the_role_is_bound(owned: str, bound: str) -> None:
    assert isolation(bound)["level"] == "ok"
    found = isolation(owned)
    assert found["level"] == "warning"
    assert "superuser" in found["told"]
    assert "db grant" in found["told"]


def test_a_server_is_not_run_by_a_role_that_sees_everything(owned: str) -> None:
    link, told = served(owned)
    assert link == ""
    for word in ("superuser", "CREATE ROLE", "db grant", "--allow-rls-bypass"):
        assert word in told


def test_a_server_of_a_role_that_sees_everything_warns_where_that_is_allowed(owned: str) -> None:
    link, told = served(owned, "--allow-rls-bypass")
    assert "/sign-in?token=" in link
    assert "warning: row-level security does not bind" in told


def test_a_server_of_a_bound_role_says_nothing_of_it(bound: str) -> None:
    link, told = served(bound)
    assert "/sign-in?token=" in link
    assert "row-level" not in told
