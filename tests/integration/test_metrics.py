"""What monitoring reads of a server: counts that are right, for those who are known, and nothing of the record."""

import re
from collections.abc import Iterator

import pytest
from page_fixtures import Filled, served, signed_in
from starlette.testclient import TestClient

from agentrecord.records.scope import Role
from agentrecord.server.metrics import BOUNDS_S, Metrics

SAMPLE = re.compile(r"([a-z_]+)(?:\{([^}]*)\})? ([0-9.e+-]+)")  # fmt: skip


@pytest.fixture
def site() -> Iterator[tuple[TestClient, Filled]]:
    with served() as (client, filled):
        assert filled is not None
        yield client, filled


def samples(text: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            told = SAMPLE.fullmatch(line)
            assert told, line
            found[f"{told[1]}{{{told[2]}}}" if told[2] else told[1]] = float(told[3])
    return found


def test_answers_are_counted_by_kind_and_status_with_their_times(site: tuple[TestClient, Filled]) -> None:
    client, filled = site
    refused = client.get("/metrics")
    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
    key = filled.store.keys.create("monitoring", role=Role.READ).secret
    headers = {"authorization": f"Bearer {key}"}
    signed_in(client)
    for path in ("/runs", "/runs?q=statsu:x", "/static/style.css", "/api/runs", "/api/runs/none", "/nope"):
        client.get(path)
    answer = client.get("/metrics", headers=headers)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    told = samples(answer.text)
    asked = {name: count for name, count in told.items() if name.startswith("agentrecord_requests_total")}
    assert asked == {
        'agentrecord_requests_total{kind="api",status="2xx"}': 1,
        'agentrecord_requests_total{kind="api",status="4xx"}': 2,
        'agentrecord_requests_total{kind="page",status="2xx"}': 1,
        'agentrecord_requests_total{kind="page",status="3xx"}': 1,
        'agentrecord_requests_total{kind="page",status="4xx"}': 2,
        'agentrecord_requests_total{kind="static",status="2xx"}': 1,
    }
    assert told['agentrecord_request_seconds_count{kind="page"}'] == 4
    assert told["agentrecord_live_streams"] == 0
    for name in ("s-1", "coder", "/runs", "none"):
        assert name not in answer.text, "nothing of the record, and no address"


def test_times_fall_into_the_buckets_that_hold_them() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.005, 0.006, 11.0):
        metrics.note("/runs", 200, seconds)
    told = samples(metrics.text(streams=3, unwritten=1))
    buckets = [told[f'agentrecord_request_seconds_bucket{{kind="page",le="{bound}"}}'] for bound in (*BOUNDS_S, "+Inf")]
    assert buckets == [2, *[3] * (len(BOUNDS_S) - 1), 4]
    assert told['agentrecord_request_seconds_sum{kind="page"}'] == pytest.approx(11.012)
    assert (told["agentrecord_live_streams"], told["agentrecord_audit_entries_lost_total"]) == (3, 1)
