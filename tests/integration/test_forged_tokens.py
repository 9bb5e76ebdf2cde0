"""Tokens: the ones that let in, and the many that must not; our own, and an identity provider's."""

import asyncio
import base64
import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from page_fixtures import HOME, SECRET, FixedClock
from starlette.testclient import TestClient

from agentrecord.exceptions import InvalidValue, ProviderUnavailable
from agentrecord.records.account import Account
from agentrecord.records.project import UNASSIGNED
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.server.app import IdentitySettings, build_app
from agentrecord.server.provider import KEPT_S, MAX_KEYS_BYTES, PAUSE_S, Provider, ProviderSettings
from agentrecord.server.tokens import MAX_TOKEN_BYTES, AccessTokens, Bearer
from agentrecord.store import AsyncStore, Store

ISSUER, AUDIENCE = "https://id.example.org", "record"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
PUBLIC_PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def jwk(key: Any, key_id: str, **more: object) -> dict[str, Any]:
    algorithms = {rsa.RSAPublicKey: "RS256", ec.EllipticCurvePublicKey: "ES256", ed25519.Ed25519PublicKey: "EdDSA"}
    public = key.public_key()
    algorithm = next(name for kind, name in algorithms.items() if isinstance(public, kind))
    found = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(public))
    return {**found, "kid": key_id, "use": "sig", **more}


KEYS = {"keys": [jwk(RSA_KEY, "rsa"), jwk(EC_KEY, "ec"), {"kty": "oct", "kid": "oct", "k": "c2VjcmV0"},
                 jwk(OTHER_RSA, "enc", use="enc")]}  # fmt: skip


class Standing:
    """A server with an account and an identity provider, and what makes tokens for it."""

    def __init__(self, client: TestClient, store: Store, clock: FixedClock, account: Account) -> None:
        self.client = client
        self.store = store
        self.clock = clock
        self.account = account
        self.sign_in = store.sign_ins.start(account.id, expires_at=clock.at + timedelta(days=30)).id

    def own(self, **changes: Any) -> dict[str, Any]:
        at = int(self.clock.at.timestamp())
        claims = {
            "iss": "agentrecord", "aud": "agentrecord", "sub": str(self.account.id), "sid": str(self.sign_in),
            "iat": at, "nbf": at, "exp": at + 900, "jti": "1",
        }  # fmt: skip
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def theirs(self, **changes: Any) -> dict[str, Any]:
        at = int(self.clock.at.timestamp())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "iat": at, "exp": at + 900}
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def status(self, token: str) -> int:
        return self.client.get("/api/auth/me", headers={"authorization": f"Bearer {token}"}).status_code


@contextmanager
def standing(folder: Path, **settings: Any) -> Iterator[Standing]:
    keys = folder / "keys.json"
    keys.write_text(json.dumps(KEYS))
    clock = FixedClock()
    store = AsyncStore("memory:", clock=clock)
    provider = ProviderSettings(issuer=ISSUER, audience=AUDIENCE, keys=str(keys), **settings)
    app = build_app(store, secret=SECRET, identity=IdentitySettings(provider=provider))
    seen = Store(engine=store.engine)
    account = seen.accounts.create("ana@example.org")
    with TestClient(app, base_url=HOME) as client:
        yield Standing(client, seen, clock, account)
    store.close()


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Standing]:
    with standing(tmp_path) as found:
        yield found


OWN_KEY = hmac.new(SECRET, b"agentrecord access token", hashlib.sha256).digest()


def own(claims: dict[str, Any], *, key: Any = OWN_KEY, algorithm: str = "HS256", **headers: Any) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers or None)


def theirs(
    claims: dict[str, Any], *, key: Any = RSA_KEY, algorithm: str = "RS256", kid: Any = "rsa", **more: Any
) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid, **more})


def raw(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes] = lambda _: b"") -> str:
    """Return a token that no library would make."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    said = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    return f"{said}.{part(sign(said.encode()))}"


def hs256(key: bytes) -> Callable[[bytes], bytes]:
    return lambda said: hmac.new(key, said, hashlib.sha256).digest()


def test_tokens_that_are_right_let_in(at: Standing) -> None:
    assert at.status(own(at.own())) == 200
    assert at.status(own(at.own(), kid="any")) == 200
    assert at.status(own(at.own(exp=int(at.clock.at.timestamp()) - 29))) == 200
    assert at.status(raw({"alg": "HS256"}, at.own(), hs256(OWN_KEY))) == 200
    assert at.status(theirs(at.theirs())) == 200
    assert at.status(theirs(at.theirs(), key=EC_KEY, algorithm="ES256", kid="ec")) == 200
    assert at.status(theirs(at.theirs(aud=["other", AUDIENCE]), typ="at+jwt")) == 200


HOUR = 3600
FORGED: dict[str, Callable[[Standing], str]] = {
    "no algorithm": lambda at: raw({"alg": "none", "typ": "JWT"}, at.own()),
    "no algorithm, spelled otherwise": lambda at: raw({"alg": "nOnE"}, at.own()),
    "no algorithm, the provider's": lambda at: raw({"alg": "none", "kid": "rsa"}, at.theirs()),
    "no signature": lambda at: own(at.own()).rpartition(".")[0] + ".",
    "another secret": lambda at: own(at.own(), key=b"another secret of 32 bytes at all"),
    "the cookies' secret": lambda at: own(at.own(), key=SECRET),
    "the empty secret": lambda at: raw({"alg": "HS256"}, at.own(), hs256(b"")),
    "a larger hash": lambda at: own(at.own(), key=OWN_KEY * 2, algorithm="HS512"),
    "our issuer by the provider's key": lambda at: theirs(at.own()),
    "the provider's issuer by our key": lambda at: own(at.theirs(), kid="rsa"),
    "RS256 turned to HS256 by the public key": lambda at: raw(
        {"alg": "HS256", "kid": "rsa"}, at.theirs(), hs256(PUBLIC_PEM)),
    "HS256 by a symmetric key of the key set": lambda at: raw(
        {"alg": "HS256", "kid": "oct"}, at.theirs(), hs256(b"secret")),
    "a key for encryption": lambda at: theirs(at.theirs(), key=OTHER_RSA, kid="enc"),
    "another key under a known name": lambda at: theirs(at.theirs(), key=OTHER_RSA),
    "an unknown key": lambda at: theirs(at.theirs(), key=OTHER_RSA, kid="new"),
    "no name of a key among many": lambda at: jwt.encode(at.theirs(), RSA_KEY, algorithm="RS256"),
    "a key's name that is a path": lambda at: theirs(at.theirs(), key=OTHER_RSA, kid="../../dev/null"),
    "another algorithm of the same key": lambda at: theirs(at.theirs(), algorithm="PS256"),
    "the algorithm of another key": lambda at: theirs(at.theirs(), kid="ec"),
    "its own key in the header": lambda at: theirs(at.theirs(), key=OTHER_RSA, jwk=jwk(OTHER_RSA, "rsa")),
    "the address of its own keys": lambda at: theirs(at.theirs(), key=OTHER_RSA, jku="https://evil.example/keys"),
    "a right key, but a jku beside it": lambda at: theirs(at.theirs(), jku="https://id.example.org/keys"),
    "the address of its certificate": lambda at: theirs(at.theirs(), x5u="https://evil.example/c"),
    "a certificate": lambda at: theirs(at.theirs(), x5c=["MIIB"]),
    "something critical": lambda at: theirs(at.theirs(), crit=["exp"]),
    "something critical, ours": lambda at: own(at.own(), crit=["x"], x=1),
    "a token for something else": lambda at: own(at.own(), typ="dpop+jwt"),
    "ours without an end": lambda at: own(at.own(exp=None)),
    "ours at its end": lambda at: own(at.own(exp=int(at.clock.at.timestamp()) - 30)),
    "ours from the future": lambda at: own(at.own(nbf=int(at.clock.at.timestamp()) + 31)),
    "ours issued in the future": lambda at: own(at.own(iat=int(at.clock.at.timestamp()) + HOUR)),
    "ours without an audience": lambda at: own(at.own(aud=None)),
    "ours for another audience": lambda at: own(at.own(aud="other")),
    "ours without an issuer": lambda at: own(at.own(iss=None)),
    "ours without a sign-in": lambda at: own(at.own(sid=None)),
    "ours with no sign-in": lambda at: own(at.own(sid="0199e0c5-7c1e-7a44-9d1f-4ae1d2f3b5c6")),
    "ours with a sign-in that is no id": lambda at: own(at.own(sid={"a": 1})),
    "ours with another account": lambda at: own(at.own(sub="0199e0c5-7c1e-7a44-9d1f-4ae1d2f3b5c6")),
    "ours without an account": lambda at: own(at.own(sub=None)),
    "an end that is text": lambda at: raw({"alg": "HS256"}, at.own(exp="9999999999"), hs256(OWN_KEY)),
    "an end that is true": lambda at: raw({"alg": "HS256"}, at.own(exp=True), hs256(OWN_KEY)),
    "an end that is no number": lambda at: raw({"alg": "HS256"}, at.own(exp=float("nan")), hs256(OWN_KEY)),
    "theirs without an end": lambda at: theirs(at.theirs(exp=None)),
    "theirs at its end": lambda at: theirs(at.theirs(exp=int(at.clock.at.timestamp()) - 30)),
    "theirs from the future": lambda at: theirs(at.theirs(nbf=int(at.clock.at.timestamp()) + 31)),
    "theirs without an audience": lambda at: theirs(at.theirs(aud=None)),
    "theirs for another audience": lambda at: theirs(at.theirs(aud="other")),
    "theirs of another issuer": lambda at: theirs(at.theirs(iss="https://evil.example")),
    "theirs of an issuer much like it": lambda at: theirs(at.theirs(iss=ISSUER + "/")),
    "theirs without a user": lambda at: theirs(at.theirs(sub=None)),
    "theirs with a user that is none": lambda at: theirs(at.theirs(sub=" ")),
    "theirs with a user that is too long": lambda at: theirs(at.theirs(sub="x" * 256)),
    "theirs as the user of nobody's rows": lambda at: theirs(at.theirs(sub=UNASSIGNED)),
    "nothing": lambda at: "",
    "dots": lambda at: "..",
    "no base64": lambda at: "!.!.!",
    "four parts": lambda at: own(at.own()) + ".x",
    "five parts": lambda at: "a.b.c.d.e",
    "a header that is a list": lambda at: raw([], at.own()),  # type: ignore[arg-type]
    "claims that are a list": lambda at: raw({"alg": "HS256"}, [], hs256(OWN_KEY)),  # type: ignore[arg-type]
    "deep claims": lambda at: own(at.own()).replace(".", "." + "W1tb" * 1500, 1),
    "8 KB and a byte": lambda at: own(at.own(pad="x" * 9000)),
    "5 MB": lambda at: own(at.own()) + "x" * 5_000_000,
}  # fmt: skip


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_token_is_refused(at: Standing, forged: str) -> None:
    token = FORGED[forged](at)
    answer = at.client.get("/api/auth/me", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "urn:agentrecord:problem:SignInNeeded"


def test_a_token_may_be_as_long_as_the_limit_and_no_longer(at: Standing) -> None:
    bare = len(own(at.own(pad="")))
    fits = own(at.own(pad="x" * ((MAX_TOKEN_BYTES - bare) * 3 // 4 - 4)))
    assert MAX_TOKEN_BYTES - 16 < len(fits) <= MAX_TOKEN_BYTES
    assert at.status(fits) == 200
    assert at.status(own(at.own(pad="x" * ((MAX_TOKEN_BYTES - bare) * 3 // 4 + 16)))) == 401


def test_two_credentials_are_none(at: Standing) -> None:
    good = f"Bearer {own(at.own())}".encode()
    key = f"Bearer {at.store.keys.create('k').secret}".encode()
    for pair in ((good, good), (good, key), (key, b"Bearer x"), (good, b"Basic eDp5")):
        headers = [(b"authorization", value) for value in pair]
        assert at.client.get("/api/auth/me", headers=headers).status_code == 401


@pytest.mark.parametrize("name", ["token", "access_token", "key", "api_key", "authorization"])
def test_a_credential_in_the_address_lets_nobody_in(at: Standing, name: str) -> None:
    for credential in (own(at.own()), at.store.keys.create("k").secret):
        assert at.client.get("/api/auth/me", params={name: credential}).status_code == 401
        assert at.client.get("/sessions", params={name: credential}).status_code == 401


def test_a_secret_too_short_to_sign_with_is_refused() -> None:
    with Store("memory:") as store:
        for short in (b"", b"x" * 31):
            with pytest.raises(InvalidValue):
                build_app(AsyncStore(engine=store.engine), secret=short)
            with pytest.raises(InvalidValue):
                AccessTokens(short)


def test_two_records_do_not_take_each_others_tokens(at: Standing) -> None:
    bearer = Bearer(account=at.account.id, sign_in=at.sign_in)
    token = AccessTokens(SECRET).make(bearer, now=at.clock.at)
    assert AccessTokens(SECRET).read(token, now=at.clock.at) == bearer
    assert AccessTokens(b"y" * 32).read(token, now=at.clock.at) is None


def test_a_person_of_the_provider_is_a_user_from_first_sight(at: Standing) -> None:
    token = theirs(at.theirs(email="Ana@Example.org"))
    headers = {"authorization": f"Bearer {token}"}
    me = at.client.get("/api/auth/me", headers=headers).json()
    assert (me["kind"], me["user"], me["role"], me["name"]) == ("provider", "ana", "write", "ana@example.org")
    user = at.store.users.find("ana")
    assert user is not None
    assert (str(user.id), user.email) == (me["user_uuid"], "ana@example.org")
    at.store.sessions.create(NewSession(session_id="mine"), user="ana")
    at.store.sessions.create(NewSession(session_id="other"), user="ben")
    assert [s["session_id"] for s in at.client.get("/api/sessions", headers=headers).json()["items"]] == ["mine"]
    assert at.client.get("/api/sessions/other", headers=headers).status_code == 404


@pytest.mark.parametrize(
    ("groups", "role"),
    [("ops", "admin"), (["x", "staff"], "write"), (["staff", "ops"], "admin"), (["x"], None), (None, None), (7, None),
     ({"ops": 1}, None), ("operator", None)],
)  # fmt: skip
def test_a_role_comes_from_a_claim_and_who_has_none_stays_out(tmp_path: Path, groups: Any, role: str | None) -> None:
    settings = {"role_claim": "groups", "roles": {"ops": Role.ADMIN, "staff": Role.WRITE}, "default_role": None}
    with standing(tmp_path, **settings) as at:
        answer = at.client.get("/api/auth/me", headers={"authorization": f"Bearer {theirs(at.theirs(groups=groups))}"})
        assert answer.json().get("role") == role
        assert answer.status_code == (401 if role is None else 200)


class KeyServer(http.server.BaseHTTPRequestHandler):
    """Serves whatever `answer` says."""

    answer: bytes = b""
    status = 200
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("location", "/elsewhere")
        self.send_header("content-length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def key_server() -> Iterator[tuple[type[KeyServer], str]]:
    handler = type("Handler", (KeyServer,), {"answer": json.dumps(KEYS).encode(), "status": 200, "asked": 0})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield handler, f"http://127.0.0.1:{server.server_address[1]}/keys"
        server.shutdown()
        thread.join()


class HeldTimer:
    """Tells seconds that pass when it is told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


def token_of(key: Any, kid: str) -> str:
    at = int(NOW.timestamp())
    return theirs({"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "exp": at + 900}, key=key, kid=kid)


def reads(provider: Provider, key: Any, kid: str) -> bool:
    return asyncio.run(provider.read(token_of(key, kid), kid, now=NOW)) is not None


def test_keys_are_kept_and_fetched_anew_for_an_unknown_name_but_not_often(
    key_server: tuple[type[KeyServer], str],
) -> None:
    handler, address = key_server
    timer = HeldTimer()
    provider = Provider(ProviderSettings(issuer=ISSUER, audience=AUDIENCE, keys=address), timer=timer)
    assert reads(provider, RSA_KEY, "rsa")
    assert reads(provider, RSA_KEY, "rsa")
    assert handler.asked == 1
    for number in range(20):
        assert not reads(provider, OTHER_RSA, f"unknown-{number}")
    assert handler.asked == 1
    handler.answer = json.dumps({"keys": [jwk(OTHER_RSA, "new")]}).encode()
    timer.at += PAUSE_S
    assert reads(provider, OTHER_RSA, "new")
    assert handler.asked == 2
    # What the provider took back holds no longer.
    assert not reads(provider, RSA_KEY, "rsa")
    timer.at += KEPT_S
    assert reads(provider, OTHER_RSA, "new")
    assert handler.asked == 3
    # A provider that is away locks nobody out who has a key that was known.
    handler.status = 500
    timer.at += KEPT_S
    assert reads(provider, OTHER_RSA, "new")
    assert handler.asked == 4


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (302, json.dumps(KEYS).encode()), (404, b""), (200, b"no json"), (200, b"[]"), (200, b'{"keys": []}'),
        (200, b'{"keys": 1}'), (200, b'{"keys": ["x"]}'), (200, json.dumps({"keys": [KEYS["keys"][2]]}).encode()),
        (200, json.dumps({**KEYS, "pad": "x" * MAX_KEYS_BYTES}).encode()), (200, b"[" * 100_000),
        (200, b'{"keys": [{"kty": "RSA", "n": "AQAB", "e": "x"}]}'), (200, b"\xff"),
    ],
)  # fmt: skip
def test_a_key_set_that_is_none_lets_nobody_in_and_says_so(
    key_server: tuple[type[KeyServer], str], status: int, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    handler, address = key_server
    handler.status, handler.answer = status, content
    provider = Provider(ProviderSettings(issuer=ISSUER, audience=AUDIENCE, keys=address), timer=HeldTimer())
    with pytest.raises(ProviderUnavailable):
        reads(provider, RSA_KEY, "rsa")
    assert "cannot be read" in caplog.text
    assert handler.asked == 1


def test_a_provider_that_is_away_is_no_fault_of_the_token(tmp_path: Path) -> None:
    with standing(tmp_path) as at:
        (tmp_path / "keys.json").unlink()
        answer = at.client.get("/api/auth/me", headers={"authorization": f"Bearer {theirs(at.theirs())}"})
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        # Others come in meanwhile.
        assert at.status(own(at.own())) == 200


def test_an_edwards_key_is_for_edwards_signatures_where_that_is_allowed(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [jwk(ED_KEY, "ed")]}))
    token = jwt.encode(
        {"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "exp": int(NOW.timestamp()) + 9}, ED_KEY, algorithm="EdDSA"
    )
    allowed = ProviderSettings(issuer=ISSUER, audience=AUDIENCE, keys=str(keys), algorithms=("EdDSA",))
    assert asyncio.run(Provider(allowed).read(token, None, now=NOW)) is not None
    usual = Provider(ProviderSettings(issuer=ISSUER, audience=AUDIENCE, keys=str(keys)))
    with pytest.raises(ProviderUnavailable):
        asyncio.run(usual.read(token, None, now=NOW))
