"""`agentrecord accounts`, `keys`, and what `serve` asks for before it opens up to others."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentrecord.cli.identity import check_open_to_all, identity_settings, public_names, secret_of
from agentrecord.cli.main import program
from agentrecord.exceptions import InvalidValue
from agentrecord.records.scope import Role
from agentrecord.server.passwords import Passwords
from agentrecord.store import Store

PASSWORD = "correct horse battery"
LONG_SECRET = "s" * 32
PROVIDER = {
    "AGENTRECORD_PROVIDER_ISSUER": "https://id.example.org",
    "AGENTRECORD_PROVIDER_AUDIENCE": "record",
    "AGENTRECORD_PROVIDER_KEYS": "https://id.example.org/keys",
}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("AGENTRECORD_")]:
        monkeypatch.delenv(name)
    found = tmp_path / "record.db"
    monkeypatch.setenv("AGENTRECORD_URL", str(found))
    return found


def run(*words: str, given: str | None = None) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(program, list(words), input=given)


def test_accounts_are_made_listed_and_changed(path: Path) -> None:
    words = ("accounts", "create", "Ana@Example.org", "--role", "admin", "--name", "Ana", "--password-stdin", "--json")
    made = run(*words, given=PASSWORD + "\n")
    assert made.exit_code == 0, made.output
    assert (json.loads(made.stdout)["email"], json.loads(made.stdout)["role"]) == ("ana@example.org", "admin")
    assert "argon2" not in made.output
    prompted = run("accounts", "create", "ben@example.org", given=f"{PASSWORD}\n{PASSWORD}\n")
    assert prompted.exit_code == 0, prompted.output
    assert PASSWORD not in prompted.output
    assert run("accounts", "role", "ben@example.org", "read").exit_code == 0
    assert run("accounts", "disable", "ana@example.org").exit_code == 0
    listed = [json.loads(line) for line in run("accounts", "--jsonl").stdout.splitlines()]
    assert [(a["email"], a["role"], a["disabled_at"] is None) for a in listed] == [
        ("ana@example.org", "admin", False), ("ben@example.org", "read", True),
    ]  # fmt: skip
    assert run("accounts", "enable", "ana@example.org").exit_code == 0
    assert "ben" not in run("accounts", "--match", "ana").stdout
    with Store(str(path)) as store:
        entries = [(e.action, e.actor_kind) for e in store.audit.list()]
        assert ("account.disable", "command line") in entries
        assert store.accounts.find("ana@example.org") is not None


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (("create", "ana"), PASSWORD, "is no e-mail address"),
        (("create", "ana@example.org"), "short", "needs at least 12"),
        (("create", "ana@example.org"), "", "needs at least 12"),
        (("password", "nobody@example.org"), PASSWORD, "no account 'nobody@example.org'"),
        (("create", "ana@example.org", "--role", "operator"), PASSWORD, "operator"),
    ],
)
def test_what_cannot_be_is_refused_and_makes_nothing(path: Path, words: tuple[str, ...], given: str, said: str) -> None:
    ended = run("accounts", *words, "--password-stdin", given=given)
    assert ended.exit_code != 0
    assert said in ended.output
    with Store(str(path)) as store:
        assert list(store.accounts.list()) == []


def test_a_new_password_is_the_one_that_counts(path: Path) -> None:
    run("accounts", "create", "ana@example.org", "--password-stdin", given=PASSWORD)
    assert run("accounts", "password", "ana@example.org", "--password-stdin", given="another good one").exit_code == 0
    with Store(str(path)) as store:
        attempt = store.sign_ins.attempt("ana@example.org")
        passwords = Passwords()
        assert passwords._verify(attempt.password_hash, "another good one")
        assert not passwords._verify(attempt.password_hash, PASSWORD)
        passwords.close()


def test_a_key_is_printed_once_and_revoked_by_its_id(path: Path) -> None:
    secret = run("keys", "create", "nightly", "--role", "write", "--expires", "2099-01-31").stdout.strip()
    with Store(str(path)) as store:
        key = store.keys.find(secret)
        assert key is not None
        assert (key.name, key.role, f"{key.expires_at:%Y-%m-%d}") == ("nightly", Role.WRITE, "2099-02-01")
    listed = run("keys", "--json")
    assert secret not in listed.stdout
    assert json.loads(listed.stdout)["items"][0]["prefix"] == secret.split("_")[1]
    assert "active" in run("keys", "--plain").stdout
    assert run("keys", "revoke", str(key.id)).exit_code == 0
    assert "revoked" in run("keys", "--plain").stdout
    with Store(str(path)) as store:
        assert store.keys.find(secret) is None
    made = json.loads(run("--user", "ana", "keys", "create", "ana's", "--json").stdout)
    assert (made["key"]["user"], made["secret"].startswith("arec_")) == ("ana", True)
    assert run("--user", "ana", "keys", "create", "x", "--role", "admin").exit_code == 2


def test_the_secret_is_the_records_own_unless_one_long_enough_is_given() -> None:
    with Store("memory:") as store:
        own = secret_of(store, {})
        assert len(own) == 32
        assert secret_of(store, {"AGENTRECORD_SECRET": ""}) == own
        assert secret_of(store, {"AGENTRECORD_SECRET": LONG_SECRET}) == LONG_SECRET.encode()
        with pytest.raises(InvalidValue, match="31 bytes") as refused:
            secret_of(store, {"AGENTRECORD_SECRET": LONG_SECRET[1:]})
        assert LONG_SECRET[1:] not in str(refused.value)


def test_a_server_for_others_needs_a_secret_somebody_to_let_in_and_a_name() -> None:
    secret = {"AGENTRECORD_SECRET": LONG_SECRET}
    with Store("memory:") as store:
        with pytest.raises(InvalidValue, match="AGENTRECORD_SECRET"):
            check_open_to_all(store, {}, host="0.0.0.0", names=("x.org",))
        with pytest.raises(InvalidValue, match="agentrecord accounts create"):
            check_open_to_all(store, secret, host="0.0.0.0", names=("x.org",))
        account = store.accounts.create("ana@example.org")
        with pytest.raises(InvalidValue, match="--public-host"):
            check_open_to_all(store, secret, host="0.0.0.0", names=())
        check_open_to_all(store, secret, host="0.0.0.0", names=("x.org",))
        check_open_to_all(store, secret, host="192.168.1.10", names=())
        store.accounts.disable(account.id)
        with pytest.raises(InvalidValue, match="nobody could sign in"):
            check_open_to_all(store, secret, host="127.0.0.1", names=("x.org",))
        check_open_to_all(store, {**secret, **PROVIDER}, host="127.0.0.1", names=("x.org",))


def test_an_address_of_ones_own_is_a_name_too() -> None:
    assert public_names("127.0.0.1", ()) == ()
    assert public_names("192.168.1.10", ("x.org",)) == ("192.168.1.10", "x.org")
    assert public_names("fd00::1", ()) == ("[fd00::1]",)
    assert public_names("0.0.0.0", ("x.org",)) == ("x.org",)
    for wrong in ("x.org:80", "https://x.org", "", "a b"):
        with pytest.raises(InvalidValue):
            public_names("127.0.0.1", (wrong,))


def test_the_environment_describes_the_identity_provider() -> None:
    found = identity_settings(
        {
            **PROVIDER,
            "AGENTRECORD_PROVIDER_ALGORITHMS": "ES256, EdDSA",
            "AGENTRECORD_PROVIDER_USER_CLAIM": "oid",
            "AGENTRECORD_PROVIDER_ROLE_CLAIM": "groups",
            "AGENTRECORD_PROVIDER_ROLES": "ops=admin, staff=write",
            "AGENTRECORD_PROVIDER_DEFAULT_ROLE": "none",
            "AGENTRECORD_SIGN_UP": "open",
            "AGENTRECORD_REQUESTS_PER_MINUTE": "0",
        }
    )
    assert (found.sign_up_is_open, found.requests_per_minute) == (True, 0)
    provider = found.provider
    assert (provider.issuer, provider.audience, provider.keys) == tuple(PROVIDER.values())
    assert (provider.algorithms, provider.user_claim, provider.role_claim) == (("ES256", "EdDSA"), "oid", "groups")
    assert (provider.roles, provider.default_role) == ({"ops": Role.ADMIN, "staff": Role.WRITE}, None)
    plain = identity_settings({})
    assert (plain.sign_up_is_open, plain.provider, plain.requests_per_minute) == (False, None, 600)


@pytest.mark.parametrize(
    "wrong",
    [
        {"AGENTRECORD_SIGN_UP": "yes"},
        {"AGENTRECORD_REQUESTS_PER_MINUTE": "-1"},
        {"AGENTRECORD_PROVIDER_ISSUER": "https://id.example.org"},
        {**PROVIDER, "AGENTRECORD_PROVIDER_ALGORITHMS": "HS256"},
        {**PROVIDER, "AGENTRECORD_PROVIDER_ALGORITHMS": "none"},
        {**PROVIDER, "AGENTRECORD_PROVIDER_KEYS": "http://id.example.org/keys"},
        {**PROVIDER, "AGENTRECORD_PROVIDER_KEYS": "https://user:word@id.example.org/keys"},
        {**PROVIDER, "AGENTRECORD_PROVIDER_KEYS": "ftp://id.example.org/keys"},
        {**PROVIDER, "AGENTRECORD_PROVIDER_ISSUER": "agentrecord"},
        {**PROVIDER, "AGENTRECORD_PROVIDER_ROLES": "ops=operator"},
        {**PROVIDER, "AGENTRECORD_PROVIDER_DEFAULT_ROLE": "root"},
    ],
)
def test_a_setting_that_would_let_in_anybody_or_nobody_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidValue):
        identity_settings(wrong)


def test_a_server_beyond_this_computer_is_refused_until_it_is_set_up(path: Path) -> None:
    ended = run("serve", "--host", "0.0.0.0", "--port", "0", "--public-host", "x.org")
    assert ended.exit_code == 1
    assert "AGENTRECORD_SECRET" in ended.output


def test_a_server_for_others_prints_no_link_and_answers_to_its_names(path: Path) -> None:
    run("accounts", "create", "ana@example.org", "--password-stdin", given=PASSWORD)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "agentrecord.cli.main", "serve", "--port", str(port), "--public-host", "x.org"]
    environ = {**os.environ, "AGENTRECORD_SECRET": LONG_SECRET}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as running:
        assert running.stdout is not None
        assert "token" not in running.stdout.readline()

        def status(host: str, path: str, body: bytes | None = None) -> int:
            headers = {"host": host, "content-type": "application/json"}
            asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, headers=headers)
            try:
                with urllib.request.urlopen(asked, timeout=30) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                return error.code

        assert status("x.org", "/healthz") == 200
        assert status("X.ORG:443", "/sign-in") == 200
        assert status("evil.org", "/healthz") == 400
        assert status("x.org", "/sign-in?token=") == 401
        body = json.dumps({"email": "ana@example.org", "password": PASSWORD}).encode()
        assert status("x.org", "/api/auth/sign-in", body) == 200
        assert cookie_through_a_proxy(port).startswith("__Host-agentrecord-")
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0


def test_without_a_public_name_nobody_says_from_where_they_call(path: Path) -> None:
    run("accounts", "create", "ana@example.org", "--password-stdin", given=PASSWORD)
    command = [sys.executable, "-m", "agentrecord.cli.main", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        link = urllib.parse.urlsplit(running.stdout.readline().split()[-1])
        asked = urllib.request.Request(
            f"http://{link.netloc}/api/auth/sign-in",
            data=json.dumps({"email": "ana@example.org", "password": PASSWORD}).encode(),
            headers={"Content-Type": "application/json", "X-Forwarded-For": "203.0.113.7"},
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert answer.status == 200
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
    with Store(os.environ["AGENTRECORD_URL"]) as store:
        assert store.audit.list().items[0].origin == "127.0.0.1"


def cookie_through_a_proxy(port: int) -> str:
    """Return the cookie that signing in by the form sets behind a proxy on this computer that speaks https."""
    body = urllib.parse.urlencode({"email": "ana@example.org", "password": PASSWORD})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/sign-in", body, {
        "Host": "x.org", "Origin": "https://x.org", "Content-Type": "application/x-www-form-urlencoded",
        "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7",
    })  # fmt: skip
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 303
    cookie = answer.headers["set-cookie"]
    assert "Secure" in cookie
    with Store(os.environ["AGENTRECORD_URL"]) as store:
        assert store.audit.list().items[0].origin == "203.0.113.7"
    return cookie
