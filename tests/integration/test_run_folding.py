"""Folded rows and detached pieces, on pages without a script, over REST, on the command line, in notebooks."""

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner
from page_fixtures import Filled, served, signed_in
from starlette.testclient import TestClient

from agentrecord.cli.main import program
from agentrecord.ingest.otlp_facts import derive
from agentrecord.store import Store
from otlp_requests import TRACE, chat, received, said, span

Site = tuple[TestClient, Filled]
AGENT = {"openinference.span.kind": "AGENT"}
LATE = span(2, "guide", {**AGENT, "agent.name": "guide"}, parent=1, at=(1, 80))
SENT = [
    span(1, "root", {**AGENT, "agent.name": "root"}, at=(0, 100)),
    span(3, "helper", {**AGENT, "agent.name": "helper"}, parent=2, at=(2, 60)),
    chat(4, [said("user", "hi")], said("assistant", "yo"), parent=3, at=(3, 9)),
    chat(5, [said("user", "hello")], said("assistant", "hey"), parent=2, at=(62, 70)),
]


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as (client, filled):
        assert filled is not None
        filled.store.traces.record(received(*SENT), derive)
        yield signed_in(client), filled


def rows(text: str) -> list[str]:
    """Return what each row of a waterfall is called, with what is said beside it."""
    found = re.findall(r'<th scope="row" class="d\d">(.*?)</th>', text)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]


def link(text: str, words: str) -> str:
    """Return where the link leads that folds the row with these words."""
    row = next(row for row in re.findall(r'<th scope="row" class="d\d">.*?</th>', text) if words in row)
    (found,) = re.findall(r'<a class="fold"[^>]* href="([^"#]+)', row)
    return unescape(found)


def test_rows_are_folded_and_shown_again_by_links_alone(site: Site) -> None:
    client, _ = site
    whole = client.get(f"/r/{TRACE}").text
    names = rows(whole)
    assert names == ["run ▾ root", "run ▾ helper detached", "llm gpt-4o", "llm gpt-4o detached"]
    folded = client.get(f"/r/{TRACE}{link(whole, 'helper')}").text
    assert rows(folded) == ["run ▾ root", "run ▸ helper detached 1 below", "llm gpt-4o detached"]
    assert rows(client.get(f"/r/{TRACE}{link(folded, 'helper')}").text) == names
    assert rows(client.get(f"/r/{TRACE}?fold=all").text) == rows(folded)
    assert "unfold all" in folded
    assert "unfold all" not in whole
    told = client.get(f"/runs/rows/{TRACE}?fold=all").json()
    assert (told["total"], [row[11:] for row in told["rows"]]) == (
        3, [[[1, 3]], [[2, 1], f"the span above it, {2:016x}, has not come"],
            [None, f"the span above it, {2:016x}, has not come"]],
    )  # fmt: skip
    for wrong in ("x", "all,x", ",".join([str(site[1].run)] * 51)):
        assert client.get(f"/r/{TRACE}?fold={wrong}").status_code == 422, wrong


def test_a_detached_piece_says_which_span_has_not_come_until_it_comes(site: Site) -> None:
    client, filled = site
    spans = client.get(f"/api/runs/{TRACE}/spans").json()["items"]
    assert [(one["name"], one["is_detached"], one["detached_from"]) for one in spans] == [
        ("root", False, None), ("helper", True, f"{2:016x}"), ("gpt-4o", False, None), ("gpt-4o", True, f"{2:016x}"),
    ]  # fmt: skip
    page = client.get(f"/r/{TRACE}?span={spans[3]['id']}").text
    assert f"the span above it, <code>{2:016x}</code>, has not come" in page
    assert "2 pieces are" in page
    assert [row for row in rows(page) if "detached" in row] == ["run ▾ helper detached", "llm gpt-4o detached"]
    events = client.get(f"/api/runs/{TRACE}/events").json()["items"]
    assert {one["span_id"]: one["detached_from"] for one in events if one["detached_from"]} == {
        f"{5:016x}": f"{2:016x}"
    }
    assert "helper (detached)" in filled.store.pages.run_tree(filled.store.runs.get(TRACE).id)._repr_html_()
    filled.store.traces.record(received(LATE), derive)
    page = client.get(f"/r/{TRACE}").text
    assert rows(page) == ["run ▾ root", "run ▾ guide", "run ▾ helper", "llm gpt-4o", "llm gpt-4o"]
    assert "detached" not in page


def test_the_command_line_says_what_is_detached(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with Store(url) as store:
        store.traces.record(received(*SENT), derive)
    told = CliRunner().invoke(program, ["--db", url, "run", TRACE], env={"COLUMNS": "120", "FORCE_COLOR": "1"})
    assert (told.exit_code, told.stdout.count("detached: ")) == (0, 2)
    assert "2 pieces detached: what would be above has not come" in told.stderr
    lines = CliRunner().invoke(program, ["--db", url, "run", TRACE, "--jsonl"]).stdout.splitlines()
    assert [json.loads(line)["detached_from"] for line in lines] == [None, f"{2:016x}", None, f"{2:016x}"]
