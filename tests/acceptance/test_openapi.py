"""The API's description is true: requests made from it are answered as it says, whoever asks.

Schemathesis makes the requests: right ones, which must be taken, wrong ones, which must be refused, and sequences of
both. What it is told beside the description is in `openapi_hooks`; which checks hold, in `openapi.toml`.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openapi_record import PASSWORD, ROOT, Filled, fill
from starlette.testclient import TestClient

from agentrecord.server.app import IdentitySettings, build_app
from agentrecord.store import AsyncStore, Store
from counts import count, is_long
from serving import serving

FOLDER = Path(__file__).parent
SECRET = b"0123456789abcdef0123456789abcdef"
LINK = "a-sign-in-token"
PHASES = {"stranger": "examples,fuzzing", "user": "examples,stateful", "admin": "examples,fuzzing"}
"""What is tried as whom in the short form; in the long one everybody tries everything, the edges of all values too."""

Route = tuple[str, str]
SIGN_IN = {"email": ROOT, "password": PASSWORD}
BODIES: dict[Route, dict[str, str]] = {
    ("POST", "/api/auth/sign-in"): SIGN_IN,
    ("POST", "/api/auth/password"): {"old_password": PASSWORD, "new_password": PASSWORD + "!"},
}
"""Right bodies that hold a secret, which no example in the description can."""


BY_LINK = {("GET", "/api/projects")}
"""What is for operators: who runs the server."""


@contextmanager
def record() -> Iterator[tuple[Any, Filled]]:
    """Yield an application over a record with data in it, and what that is."""
    store = AsyncStore("memory:")
    identity = IdentitySettings(requests_per_minute=0, sign_up_is_open=True)
    app = build_app(store, secret=SECRET, sign_in_token=LINK, identity=identity)
    yield app, fill(Store(engine=store.engine))
    assert Store(engine=store.engine).usage.recount() == ()
    store.close()


@pytest.mark.parametrize("who", PHASES)
def test_requests_made_from_the_description_are_answered_as_it_says(who: str, tmp_path: Path) -> None:
    with record() as (app, filled), serving(app) as home:
        (tmp_path / "openapi.json").write_text(json.dumps(app.openapi()))
        identity = [] if who == "stranger" else ["--header", f"Authorization: Bearer {filled.keys[who]}"]
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "--config-file", str(FOLDER / "openapi.toml"), "run",
                str(tmp_path / "openapi.json"), "--url", home, *identity,
                "--phases", "examples,coverage,fuzzing,stateful" if is_long() else PHASES[who],
                "--max-examples", str(count(6, 200)), "--generation-deterministic", "--continue-on-failure",
                "--suppress-health-check", "all", "--warnings", "off", "--no-color",
            ],
            cwd=tmp_path, capture_output=True, text=True,
            env={
                **os.environ, "PYTHONPATH": str(FOLDER), "SCHEMATHESIS_HOOKS": "openapi_hooks",
                "AGENTRECORD_TEST_IDS": json.dumps(filled.ids),
            },
        )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-20_000:]
    assert f"Selected: {len(routes(app))}/{len(routes(app))}\n" in done.stdout, done.stdout[-3000:]


def routes(app: Any) -> dict[Route, dict[str, Any]]:
    """Return every route that the API describes."""
    paths = app.openapi()["paths"]
    return {(m.upper(), path): told for path, operations in paths.items() for m, told in operations.items()}


def example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Return a value as a schema shows one: its own example, its default, its first choice, or those of its fields."""
    if "$ref" in schema:
        schema = {**schemas[schema["$ref"].rpartition("/")[2]], **{k: v for k, v in schema.items() if k != "$ref"}}
    for known in ("examples", "enum"):
        if known in schema:
            return schema[known][0]
    if "default" in schema:
        return schema["default"]
    fields = schema.get("properties", {})
    if fields:
        shown = [name for name, field in fields.items() if name in schema.get("required", ()) or "examples" in field]
        return {name: example(fields[name], schemas) for name in shown or list(fields)[:1]}
    if schema.get("type") == "array":
        return [example(schema["items"], schemas)]
    raise AssertionError(f"the description shows no example of {schema}")


@contextmanager
def asking() -> Iterator[Callable[[Route, dict[str, Any]], Any]]:
    """Yield what sends the request that the description shows for a route, as who may do everything."""
    with record() as (app, filled), TestClient(app, base_url="http://localhost") as client:
        tokens = client.post("/api/auth/sign-in", json=SIGN_IN).json()
        client.get(f"/sign-in?token={LINK}")
        bodies = {**BODIES, ("POST", "/api/auth/refresh"): {"refresh_token": tokens["refresh_token"]}}
        # Who followed the link may do more than an administrator; whoever sends a token is who the token says.
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}

        def ask(route: Route, told: dict[str, Any]) -> Any:
            body = bodies.get(route)
            if body is None and "requestBody" in told:
                schema = told["requestBody"]["content"]["application/json"]["schema"]
                body = example(schema, app.openapi()["components"]["schemas"])
            needed = [one for one in told.get("parameters", ()) if one["in"] == "query" and one["required"]]
            return client.request(
                route[0], re.sub(r"\{(\w+)\}", lambda found: filled.ids[found[1]], route[1]), json=body,
                params={one["name"]: example(one["schema"], {}) for one in needed},
                headers={} if route in BY_LINK else bearer,
            )  # fmt: skip

        yield ask


def test_every_route_takes_the_request_that_its_description_shows() -> None:
    with record() as (app, _):
        described = routes(app)
    # What looks changes nothing, so that one record serves all of it; what changes has one of its own.
    with asking() as ask:
        for route in [route for route in described if route[0] == "GET"]:
            answer = ask(route, described[route])
            assert 200 <= answer.status_code < 300, (route, answer.text)
    for route in [route for route in described if route[0] != "GET"]:
        with asking() as ask:
            answer = ask(route, described[route])
            assert 200 <= answer.status_code < 300, (route, answer.text)


def test_a_path_tells_the_methods_that_its_description_shows() -> None:
    with record() as (app, filled), TestClient(app, base_url="http://localhost") as client:
        bearer = {"Authorization": f"Bearer {filled.keys['admin']}"}
        described: dict[str, set[str]] = {}
        for method, path in routes(app):
            described.setdefault(path, set()).add(method)
        for path, methods in described.items():
            filled_in = re.sub(r"\{(\w+)\}", lambda found: filled.ids[found[1]], path)
            answer = client.options(filled_in, headers=bearer)
            assert answer.status_code == 405, path
            assert set(answer.headers["allow"].split(", ")) == methods, path


def test_a_number_is_no_instant() -> None:
    with record() as (app, filled), TestClient(app, base_url="http://localhost") as client:
        bearer = {"Authorization": f"Bearer {filled.keys['admin']}"}
        asked = 0
        for (method, path), told in routes(app).items():
            for name in {one["name"] for one in told.get("parameters", ())} & {"since", "until"}:
                answer = client.request(method, path, params={"q": "word", name: "0.5"}, headers=bearer)
                assert answer.status_code == 422, (path, name)
                assert name in answer.json()["detail"], (path, name)
                asked += 1
        assert asked > 5
