"""The requests that the API's description shows, made to a record with data in it, and what they are answered."""

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any  # `Any`: OpenAPI is JSON
from uuid import UUID

from openapi_record import PASSWORD, ROOT, Filled, fill
from starlette.testclient import TestClient

from agentrecord.server.app import IdentitySettings, build_app
from agentrecord.store import AsyncStore, Store

SECRET = b"0123456789abcdef0123456789abcdef"
LINK = "a-sign-in-token"

Route = tuple[str, str]
SIGN_IN = {"email": ROOT, "password": PASSWORD}
BODIES: dict[Route, dict[str, str]] = {
    ("POST", "/api/auth/sign-in"): SIGN_IN,
    ("POST", "/api/auth/password"): {"old_password": PASSWORD, "new_password": PASSWORD + "!"},
}
"""Right bodies that hold a secret, which no example in the description can."""


HIDDEN = ("access_token", "refresh_token", "secret", "prefix")
"""Fields of answers that are drawn at random."""
LONGEST = 300
MEASURED = {("POST", "/api/sql"): {"duration_ms": 0.2}}
"""What no two answers have alike."""

BY_LINK = {("GET", "/api/projects")}
"""What is for operators: who runs the server."""


class Steps:
    """A clock and a maker of ids whose every step is the same in each record."""

    def __init__(self) -> None:
        self._at = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
        self._made = itertools.count(1)

    def now(self) -> datetime:
        """Return an instant a millisecond after the last one."""
        self._at += timedelta(milliseconds=1)
        return self._at

    def new_id(self) -> UUID:
        """Return an id of version 7, whose time is that of the clock's beginning."""
        made = next(self._made)
        return UUID(int=(0x019CB8D2_1A00 << 80) | (7 << 76) | (2 << 62) | made)


@contextmanager
def record(steps: Steps | None = None) -> Iterator[tuple[Any, Filled]]:
    """Yield an application over a record with data in it, and what that is; by `steps` it is the same each time."""
    store = AsyncStore("memory:") if steps is None else AsyncStore("memory:", clock=steps, make_id=steps.new_id)
    identity = IdentitySettings(requests_per_minute=0, sign_up_is_open=True)
    app = build_app(store, secret=SECRET, sign_in_token=LINK, identity=identity)
    yield app, fill(Store(engine=store.engine))
    assert Store(engine=store.engine).usage.recount() == ()
    store.close()


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
    with record(Steps()) as (app, filled), TestClient(app, base_url="http://localhost") as client:
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


def answers() -> dict[str, dict[str, Any]]:
    """Return what each route answers to the request that its description shows, by its method and path, and status."""
    with record() as (app, _):
        described = routes(app)
    # What looks changes nothing, so that one record serves all of it; what changes has one of its own.
    found: dict[Route, Any] = {}
    with asking() as ask:
        found.update({route: ask(route, described[route]) for route in described if route[0] == "GET"})
    for route in described:
        if route not in found:
            with asking() as ask:
                found[route] = ask(route, described[route])
    told: dict[str, dict[str, Any]] = {}
    for route in described:
        answer = found[route]
        assert 200 <= answer.status_code < 300, (route, answer.text)
        if answer.content:
            told[" ".join(route)] = {str(answer.status_code): {**shown(answer.json()), **MEASURED.get(route, {})}}
    return told


def shown(answer: Any) -> Any:
    """Return an answer as an example: of each list the first two, of a long text the beginning, no secrets."""
    match answer:
        case dict():
            return {name: "…" if name in HIDDEN else shown(value) for name, value in answer.items()}
        case list():
            return [shown(value) for value in answer[:2]]
        case str() if len(answer) > LONGEST:
            return answer[: LONGEST - 1] + "…"
        case _:
            return answer
