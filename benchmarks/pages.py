"""Every page of the dashboard over many calls: how long the server takes, and how much it sends."""

import gzip
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from starlette.testclient import TestClient

from agentrecord.server.app import IdentitySettings, build_app
from agentrecord.store import AsyncStore
from benchmarks.common import Figure, Scale, Section, scratch
from benchmarks.many_calls import Filled, fill

SECRET = b"0123456789abcdef0123456789abcdef"
TOKEN = "benchmark"
GOAL_MS = 50
EXPLANATION = """\
A record of calls of the last 90 days, of 60 users, five agents and six models, ten calls to a run and five runs to a
session; of ten calls five ask for tools, one of them for two of eight. Each page is asked for as a browser would, over
the application in this process; the time is what the server itself tells in `Server-Timing`, the median of several
requests after the first; in brackets the CPU time of the whole process, the asking side included, which other work on
the machine disturbs less. Sizes are of the HTML, plain and with gzip."""

CAUSES = """\
over all time a page of money reads all daily figures two or three times, side by side: by model and time, by what its
rows are, and who was active. Their number grows with days, users, agents and models, not with calls; coarser figures
than days would cost every call a write more. Two free cores are what the times are of: on one, such a page takes what
is told as its CPU time."""


def paths(filled: Filled) -> dict[str, str]:
    """Return the pages that are asked for, by what they are called in the table."""
    user, agent = quote(filled.user, safe=""), quote(filled.agent, safe="")
    return {
        "Overview, 7 days": "/?since=7d",
        "Overview, all": "/?since=all",
        "Cost by model, 7 days": "/cost?since=7d",
        "Cost by model, all": "/cost?since=all",
        "Cost by user, 30 days": "/cost?by=user&since=30d",
        "Cost by agent and model, all": "/cost?by=agent&split=model&since=all",
        "Cost by tool, 7 days": "/cost?by=tool&since=7d",
        "Cost by tool, all": "/cost?by=tool&since=all",
        "Cost by tool and model, all": "/cost?by=tool&split=model&since=all",
        "Cost by version, all": "/cost?by=version&since=all",
        "Cost by version and model, all": "/cost?by=version&split=model&since=all",
        "Cost by session, 24 hours": "/cost?by=session&since=24h",
        "Cost by session, all": "/cost?by=session&since=all",
        "Cost by session without sub-agents, all": "/cost?by=session&subagents=without&since=all",
        "Prices": "/prices",
        "Sessions": "/sessions",
        "Runs": "/runs",
        "Agents": "/agents",
        "Agent": f"/agents/{agent}",
        "Users": "/users",
        "User": f"/u/{user}",
        "Errors": "/errors",
        "Session": f"/s/{filled.session}",
        "Run": f"/r/{filled.run}",
    }


@contextmanager
def _client(path: Path) -> Iterator[TestClient]:
    store = AsyncStore(str(path))
    settings = IdentitySettings(requests_per_minute=0)
    app = build_app(store, secret=SECRET, sign_in_token=TOKEN, identity=settings)
    with TestClient(app, base_url="http://localhost", follow_redirects=False) as client:
        client.get(f"/sign-in?token={TOKEN}")
        yield client
    store.close()


def _ask(client: TestClient, path: str) -> tuple[float, float, bytes]:
    """Return how many milliseconds the server took for a page, how much CPU all of it took, and the page."""
    began = time.process_time()
    answer = client.get(path)
    cpu = (time.process_time() - began) * 1000
    found = re.search(r"dur=([\d.]+)", answer.headers.get("server-timing", ""))
    if answer.status_code != 200 or found is None:
        raise RuntimeError(f"{path} was answered {answer.status_code}: {answer.text[:200]}")
    return float(found[1]), cpu, answer.content


def run(scale: Scale) -> Section:
    """Measure every page."""
    calls, rounds = scale.of(1_000_000, 20_000), scale.of(9, 3)
    section = Section(title="Pages", explanation=EXPLANATION, causes=CAUSES)
    with scratch() as folder:
        path = folder / "pages.db"
        filled = fill(path, calls, datetime.now(UTC))
        section.notes.append(f"{calls:,} calls: {path.stat().st_size / 1e6:,.0f} MB.")
        with _client(path) as client:
            for name, address in paths(filled).items():
                _ask(client, address)
                asked = [_ask(client, address) for _ in range(rounds)]
                took, cpu = (statistics.median(one[place] for one in asked) for place in (0, 1))
                page = asked[0][2]
                size = f"{len(page) / 1e3:,.0f} KB, {len(gzip.compress(page, 6)) / 1e3:,.0f} KB gzipped"
                section.figures.append(
                    Figure(
                        what=f"{name} ({size})", ours=f"{took:.0f} ms ({cpu:.0f} CPU)", baseline="–",
                        result=took, unit="ms",
                        goal=GOAL_MS,
                    )
                )  # fmt: skip
    return section
