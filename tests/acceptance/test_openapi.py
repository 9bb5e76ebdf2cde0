"""The API's description is true: requests made from it are answered as it says, whoever asks.

Schemathesis makes the requests: right ones, which must be taken, wrong ones, which must be refused, and sequences of
both. What it is told beside the description is in `openapi_hooks`; which checks hold, in `openapi.toml`.
"""

import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from itertools import product
from pathlib import Path

import msgspec
import pytest
from openapi_requests import answers, record, routes
from starlette.testclient import TestClient

from agentrecord.server.examples import FILE
from counts import count, is_long
from serving import serving

FOLDER = Path(__file__).parent
EVERYBODY = ("stranger", "user", "admin")
SHORT = [("stranger", "examples,fuzzing"), ("user", "examples,stateful"), ("admin", "examples,fuzzing")]
LONG = list(product(EVERYBODY, ("examples,coverage", "fuzzing", "stateful")))
"""What is tried as whom; in the long form everybody tries everything, the edges of all values too."""


@pytest.mark.parametrize(("who", "phases"), LONG if is_long() else SHORT)
def test_requests_made_from_the_description_are_answered_as_it_says(who: str, phases: str, tmp_path: Path) -> None:
    with record() as (app, filled), serving(app) as home:
        (tmp_path / "openapi.json").write_text(json.dumps(app.openapi()))
        identity = [] if who == "stranger" else ["--header", f"Authorization: Bearer {filled.keys[who]}"]
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "--config-file", str(FOLDER / "openapi.toml"), "run",
                str(tmp_path / "openapi.json"), "--url", home, *identity,
                "--phases", phases, "--max-examples", str(count(6, 200)), "--generation-deterministic",
                "--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off", "--no-color",
            ],
            cwd=tmp_path, capture_output=True, text=True,
            env={
                **os.environ, "PYTHONPATH": str(FOLDER), "SCHEMATHESIS_HOOKS": "openapi_hooks",
                "AGENTRECORD_TEST_IDS": json.dumps(filled.ids),
            },
        )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-20_000:]
    assert f"Selected: {len(routes(app))}/{len(routes(app))}\n" in done.stdout, done.stdout[-3000:]


def test_every_route_takes_the_request_that_its_description_shows_and_answers_as_shown() -> None:
    shown = answers()
    assert shown == msgspec.json.decode(files("agentrecord.server").joinpath(FILE).read_bytes()), (
        "run: python scripts/draft_answers.py"
    )
    with record() as (app, _):
        described = routes(app)
    for route, told in described.items():
        for status, answer in told["responses"].items():
            if status.startswith("2") and "application/json" in answer.get("content", {}):
                assert "example" in answer["content"]["application/json"], (route, status)


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
