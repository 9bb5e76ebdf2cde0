"""The pages of runs in detail, two runs side by side, long conversations, and the same over REST."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
from page_fixtures import NASTY, START, Filled, FixedClock, call, served, signed_in
from starlette.testclient import TestClient

from agentrecord.dashboard import formats
from agentrecord.dashboard.line_diff import diff
from agentrecord.dashboard.run_detail import messages
from agentrecord.dashboard.run_page import WHOLE
from agentrecord.dashboard.run_rows import View, axis_of, gist, waterfall
from agentrecord.records.event import EventType, NewEvent
from agentrecord.records.llm_call import NewLLMCall, PromptPart
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall

Site = tuple[TestClient, Filled]


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as (client, filled):
        assert filled is not None
        yield signed_in(client), filled


def text_of(client: TestClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.text[:500])
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def test_each_tab_of_a_run_shows_its_part_and_a_tab_that_is_none_is_refused(site: Site) -> None:
    client, filled = site
    base = f"/r/{filled.run}"
    assert "I look at the broken commit." in text_of(client, f"{base}?tab=conversation")
    assert "Found it in the index." not in text_of(client, f"{base}?tab=conversation")
    assert "compaction" in text_of(client, f"{base}?tab=events")
    assert '{"trigger":"auto"}' in client.get(f"{base}?tab=events").text.replace("&#34;", '"')
    assert f"row id {filled.run}" in text_of(client, f"{base}?tab=attributes")
    raw = client.get(f"{base}?tab=json").text.replace("&#34;", '"')
    assert '"run_id": "r-1"' in raw
    assert client.get(f"{base}?tab=odd").status_code == 422
    for tab in ("", "?tab=conversation", "?tab=events", "?tab=attributes", "?tab=json"):
        assert NASTY not in client.get(base + tab).text


def test_a_run_says_how_long_it_did_nothing_and_can_be_shown_without_that_time(site: Site) -> None:
    client, filled = site
    clock = cast(FixedClock, filled.store.engine.maker.clock)
    run = filled.store.runs.start(NewRun(run_id="idle", started_at=START)).id
    for minutes in (1, 61):
        ended = START + timedelta(minutes=minutes)
        filled.store.llm_calls.record(NewLLMCall(model="m", run_uuid=run, timestamp=ended, latency_ms=60_000))
    clock.at = START + timedelta(minutes=61)
    filled.store.runs.finish(run)
    page = text_of(client, f"/r/{run}")
    assert "Duration 1 h 01 m 59 m 00 s without a call or a tool" in page
    assert "cut idle time" in page
    cut = text_of(client, f"/r/{run}?idle=cut")
    assert "Duration 1 h 01 m" in cut, "it took as long, however it is drawn"
    heads = [text.partition("in order of time")[2].partition("run idle")[0] for text in (page, cut)]
    assert ["1 idle cut" in head for head in heads] == [False, True], heads
    zoomed = text_of(client, f"/r/{run}?t0=0&t1=60000")
    assert "59 m 00 s without a call or a tool" in zoomed, "that of the whole run, however little of it is drawn"
    without = filled.store.runs.start(NewRun(run_id="busy", started_at=START)).id
    filled.store.llm_calls.record(NewLLMCall(model="m", run_uuid=without, timestamp=clock.at, latency_ms=61 * 60_000))
    filled.store.runs.finish(without)
    assert "without a call or a tool" not in text_of(client, f"/r/{without}")


def test_a_call_shows_its_prompt_as_messages_and_rate_times_tokens_for_each_class(site: Site) -> None:
    client, filled = site
    listed = json.dumps([{"role": "user", "content": f"Hello {NASTY}"}, {"role": "assistant", "content": None,
                         "tool_calls": [{"name": "Bash"}]}])  # fmt: skip
    made = filled.store.llm_calls.record(
        NewLLMCall(
            model="claude-opus-4-5", host="Anthropic", tokens=TokenCounts(input=1000, cache_read=4000, output=200),
            run_uuid=filled.run, timestamp=START, prompt=listed, response_content="Hi.", request_id="req_17",
            input_params='{"temperature":0.5}', usage_metrics='{"service_tier":"standard"}', latency_ms=900,
            time_to_first_token_ms=120,
        )
    )  # fmt: skip
    page = text_of(client, f"/r/{filled.run}?span={made.id}")
    price = filled.store.llm_calls.price(made.id)
    assert price is not None
    rates = price.rates
    counts = {
        "input, uncached": (1000, rates.input),
        "cache read": (4000, rates.cache_read),
        "output": (200, rates.output),
    }
    for name, (count, rate) in counts.items():
        assert rate is not None
        assert f"{name} {count:,} {formats.rate(rate)} {formats.money(count * rate // 1_000_000)}" in page
    assert f"all 5,200 {formats.money(made.cost_nanos)}" in page
    for said in ("user Hello", "assistant", "Bash", "Response Hi.", "temperature", "service_tier", "req_17", "120 ms"):
        assert said in page, said
    told = client.get(f"/api/calls/{made.id}").json()
    assert sum(charge["cost_nanos"] for charge in told["charges"]) == told["call"]["cost_nanos"]
    assert told["prompt"] == [{"role": None, "content": listed, "message_uuid": None, "revision": None}]


def test_a_prompt_that_is_no_list_of_messages_is_shown_as_it_is() -> None:
    for text in ("plain", "[not json", '["a"]', "[]", "[1, 2]"):
        assert [(said.role, said.text) for said in messages([PromptPart(content=text)])] == [("prompt", text)]


def test_a_waterfall_can_be_cut_down_and_says_how_much_of_it_is_shown(site: Site) -> None:
    client, filled = site
    run = filled.store.runs.start(NewRun(run_id="zoom", agent_id="bot", started_at=START)).id
    for second, name in ((0, "first"), (100, "second"), (200, "third")):
        tool = filled.store.tool_calls.record(
            NewToolCall(tool_name=name, run_uuid=run, started_at=START + timedelta(seconds=second))
        )
        filled.store.tool_calls.finish(
            tool.id, finished_at=START + timedelta(seconds=second + 50), error_message="no" if name == "third" else None
        )
    text = text_of(client, f"/r/{run}?t0=90000&t1=160000")
    assert re.search(r"tool second", text)
    assert not re.search(r"tool (first|✕ third) ", text.partition("first failure")[2].partition("Detail")[0])
    assert "2 of 4 pieces are shown" in text
    text = text_of(client, f"/r/{run}?errors=only")
    assert "2 of 4 pieces are shown" in text
    assert "tool second" not in text
    for wrong in ("t0=-1", "t0=x", "t0=5&t1=5", "errors=yes", "short=1", "bars=x", "row=0", "span=x"):
        assert client.get(f"/r/{run}?{wrong}").status_code == 422, wrong


def test_bars_can_show_cost_in_place_of_time(site: Site) -> None:
    tree = site[1].store.pages.run_tree(site[1].run)
    now = START + timedelta(days=1)
    fall = waterfall(tree, View(by_cost=True), now)
    whole, *rest = [(span, fall.row_place(span)) for span in tree.spans]
    assert whole[1] == (0.0, 1.0)
    assert whole[0].cost_nanos is not None
    for span, (start, width) in rest:
        assert start == 0
        assert width == pytest.approx((span.cost_nanos or 0) / whole[0].cost_nanos)
    timed = waterfall(tree, View(), now)
    assert timed.axis == axis_of(tree.spans, now)


def test_the_rows_that_a_script_draws_are_those_of_the_page(site: Site) -> None:
    client, filled = site
    found = client.get(f"/runs/rows/{filled.run}").json()
    spans = filled.store.pages.run_tree(filled.run).spans
    assert found["total"] == len(spans)
    assert [row[0] for row in found["rows"]] == [str(span.id) for span in spans]
    assert [row[8] == 2 for row in found["rows"]] == [span.is_failed for span in spans]
    assert len(client.get(f"/runs/rows/{filled.run}?first=3").json()["rows"]) == len(spans) - 2
    assert client.get("/runs/rows/none").status_code == 404


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"command": "git status"}', "git status"),
        ('{"path": "a\\"b", "rest": "' + "x" * 300, 'a"b'),
        ('{"n": 1}', ""),
        ("free text", "free text"),
        (None, ""),
    ],
)
def test_the_start_of_a_tools_arguments_tells_what_it_is_about(arguments: str | None, said: str) -> None:
    assert gist(arguments) == said


def test_runs_are_compared_figure_by_figure_and_text_by_text(site: Site) -> None:
    client, filled = site
    other = filled.store.runs.start(NewRun(run_id="r-2", agent_id="coder", objective="Fix it"))
    filled.store.llm_calls.record(call(other.id, "claude-opus-4-5", 2000, 400, at=START))
    filled.store.events.record(NewEvent(event_type=EventType.PLANNING_STARTED, run_uuid=other.id))
    filled.store.runs.finish(other.id, output="all done")
    assert f"b={other.id}" in client.get(f"/runs/compare?a={filled.run}").text
    assert f"/runs/compare?a={filled.run}" in client.get(f"/r/{filled.run}").text
    text = text_of(client, f"/runs/compare?a={filled.run}&b={other.id}")
    a = filled.store.runs.get(filled.run, with_subtree=True).subtree
    b = filled.store.runs.get(other.id, with_subtree=True).subtree
    assert a is not None
    assert b is not None
    assert f"Cost {formats.cost(a)} {formats.cost(b)}" in text
    assert f"Tokens {a.total_tokens:,} {b.total_tokens:,}" in text
    assert "Tool calls 1 0 −1" in text
    assert "Failed calls 1 0 −1 (−100 %)" in text
    assert "Input The same in both." in text
    assert "− only in A done + only in B all done" in text
    told = client.get("/api/runs/compare?a=r-1&b=r-2").json()
    assert [part["name"] for part in told["tools"]] == ["Bash"]
    assert told["sums_a"]["errors"] == 1
    assert sum(part["a"]["cost_nanos"] for part in told["models"] if part["a"]) == a.cost_nanos
    assert client.get("/runs/compare").status_code == 422
    assert client.get(f"/runs/compare?a={filled.run}&b=none").status_code == 404
    assert NASTY not in client.get(f"/runs/compare?a={filled.run}&b={other.id}").text


def test_texts_are_compared_line_by_line_and_long_equal_stretches_are_shortened() -> None:
    same = [f"line {number}" for number in range(50)]
    found = diff("Output", "\n".join([*same, "old"]), "\n".join([*same, "new"]))
    assert [line.kind for line in found.lines] == ["same"] * 3 + ["skip"] + ["same"] * 3 + ["gone", "come"]
    assert "44 equal lines" in [line.text for line in found.lines]
    assert diff("Output", "x\n" * 3000, "y").note.startswith("Too long")
    assert diff("Output", None, None).note == "Neither has one."


def test_a_runs_pieces_and_events_are_told_over_rest(site: Site) -> None:
    client, filled = site
    spans = filled.store.pages.run_tree(filled.run).spans
    told = client.get("/api/runs/r-1/spans").json()
    assert [span["id"] for span in told["items"]] == [str(span.id) for span in spans]
    assert (told["total"], told["hidden"]) == (len(spans), 0)
    failed = client.get("/api/runs/r-1/spans?errors=true&limit=1&offset=1").json()
    assert (failed["total"], [span["name"] for span in failed["items"]]) == (2, ["Bash"])
    events = client.get("/api/runs/r-1/events").json()
    assert [event["event_type"] for event in events["items"]] == ["compaction"]
    assert client.get("/api/runs/none/spans").status_code == 404


def long_session(filled: Filled, count: int, text: str) -> Any:
    session = filled.store.sessions.create(NewSession(session_id="long", created_at=START))
    said = [
        NewMessage(role=MessageRole.USER, content=f"{text} {number}", created_at=START + timedelta(minutes=number))
        for number in range(count)
    ]
    filled.store.messages.append(session.id, said)
    return session


def test_a_transcript_holds_every_message_once_as_markdown_and_as_json_lines(site: Site) -> None:
    client, filled = site
    long_session(filled, 450, "```\nשלום 👋")
    text = client.get("/s/long.md").text
    assert re.findall(r"שלום 👋 (\d+)", text) == [str(number) for number in range(450)]
    lines = [json.loads(line) for line in client.get("/s/long.jsonl").text.splitlines()]
    assert [line["sequence"] for line in lines] == list(range(1, 451))
    told = client.get(f"/s/{filled.session}.md").text
    assert told.startswith("# Fix it")
    assert "**tool Bash** ✕ error" in told
    assert "git status" in told
    assert client.get("/s/none.md").status_code == 404


def test_a_message_that_was_found_is_on_the_page_that_its_link_leads_to(site: Site) -> None:
    client, filled = site
    long_session(filled, 180, "needle")
    (link,) = re.findall(r'href="(/s/[^"]+#m-[^"]+)"', client.get("/search?q=needle+150").text)
    path, _, anchor = link.partition("#")
    assert f'id="{anchor}"' in client.get(path).text, link


def test_silences_are_told_and_texts_know_their_direction(site: Site) -> None:
    client, filled = site
    session = filled.store.sessions.create(NewSession(session_id="slow", created_at=START))
    for minutes in (0, 5, 130):
        said = NewMessage(role=MessageRole.USER, content="شكرا", created_at=START + timedelta(minutes=minutes))
        filled.store.messages.append(session.id, [said])
    page = client.get("/s/slow").text
    assert re.findall(r'class="idle note">([^<]+)<', page) == ["2 h 05 m idle"]
    assert page.count('dir="auto">شكرا') == 3


def test_a_message_of_a_megabyte_is_cut_on_the_page_and_whole_behind_its_link(site: Site) -> None:
    client, filled = site
    session = filled.store.sessions.create(NewSession(session_id="huge"))
    content = "<b>" + "x" * 1_000_000
    message = filled.store.messages.append(
        session.id, [NewMessage(role=MessageRole.USER, content=content)]
    ).messages[0]  # fmt: skip
    page = client.get("/s/huge").text
    assert len(page) < 60_000
    assert "The first 20,000 of 1,000,003 characters." in " ".join(page.split())
    whole = client.get(f"/m/{message.id}.txt")
    assert whole.headers["content-type"].startswith("text/plain")
    assert whole.text == content


def test_the_outline_of_a_session_of_thousands_of_turns_lists_those_around_what_is_shown(site: Site) -> None:
    client, filled = site
    session = filled.store.sessions.create(NewSession(session_id="turns", created_at=START))
    for number in range(200):
        run = filled.store.runs.start(NewRun(run_id=f"t{number}", session_uuid=session.id, objective=f"turn {number}"))
        filled.store.messages.append(session.id, [NewMessage(role=MessageRole.USER, content="x", run_uuid=run.id)])
    for start in (1, 101):
        page = client.get(f"/s/turns?from={start}").text
        assert page.count('class="by-turn"') == 120
        assert f"?from={start}#turn-" in page


def test_turns_without_a_message_are_told_of_where_turns_are_counted(site: Site) -> None:
    client, filled = site
    session = filled.store.sessions.create(NewSession(session_id="quiet", created_at=START))
    for number in range(5):
        run = filled.store.runs.start(NewRun(run_id=f"q{number}", session_uuid=session.id))
        if number < 3:
            said = [NewMessage(role=MessageRole.USER, content="x", run_uuid=run.id)]
            filled.store.messages.append(session.id, said)
    assert client.get("/s/quiet").text.count('class="by-turn"') == 3
    told = text_of(client, "/s/quiet")
    assert "5 turns 2 turns without a message are not listed. 1" in told
    assert "those around the messages shown" not in told


def test_a_long_waterfall_is_read_in_pages_without_a_script_and_one_that_is_not_long_as_a_whole(site: Site) -> None:
    client, filled = site

    def rows(path: str) -> list[str]:
        page = client.get(path)
        assert page.status_code == 200, (path, page.text[:300])
        return re.findall(r'<th scope="row" class="d1">.*?#detail">(use \d+)</a>', page.text)

    for count in (WHOLE - 1, WHOLE):
        run = filled.store.runs.start(NewRun(run_id=f"of {count}", started_at=START))
        for number in range(count):
            new = NewToolCall(tool_name=f"use {number}", run_uuid=run.id, started_at=START + timedelta(seconds=number))
            last = filled.store.tool_calls.record(new)
        filled.store.runs.finish(run.id)
        names = [f"use {number}" for number in range(count)]
        # The run itself is a row too.
        seen, path, pages = [], f"/r/{run.id}", 0
        while path:
            seen += rows(path)
            pages += 1
            later = re.search(r'<a rel="next" href="([^"]+)">later', client.get(path).text)
            path = f"/r/{run.id}{later[1]}" if later else ""
        assert seen == names
        assert pages == (1 if count < WHOLE else 3)
        # A link to a piece opens the page that has it.
        assert names[-1] in rows(f"/r/{run.id}?span={last.id}")
