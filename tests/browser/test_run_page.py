"""A run's page in a browser: a long one scrolls with few nodes, and one that goes on draws itself."""

from datetime import UTC, datetime, timedelta
from typing import Any

from everything import axe_violations
from playwright.sync_api import expect
from sites import Open, Serve

from agentrecord.engine import Connection
from agentrecord.records.event import EventType, NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun
from agentrecord.records.scope import Scope
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.store import Store, tool_calls

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SPANS = 2_000
MOST_NODES = 3_000
MARKDOWN = """# A heading

1. one
2. [two](https://example.org), https://example.org/bare and `code`

> quoted

| a | b |
|---|--:|
| 1 | 2 |

```
block
```

![dot](data:image/gif;base64,R0lGODlhAQABAAAAACw=)"""


def used(store: Store, run: Any, count: int, *, again: int = 0) -> None:
    """Record many uses of tools in one transaction, and then those of one that failed but for the last."""

    def record(conn: Connection, scope: Scope) -> None:
        for number in range(count + again):
            at = START + timedelta(seconds=number)
            name = f"tool-{number:05}" if number < count else "again"
            made = tool_calls.record(conn, scope, NewToolCall(tool_name=name, run_uuid=run, started_at=at))
            error = "late" if count <= number < count + again - 1 else None
            tool_calls.finish(
                conn, scope, made.id, result="r", error_message=error, finished_at=at + timedelta(seconds=1)
            )

    store.run(record)


def test_a_run_of_thousands_of_pieces_scrolls_with_few_nodes_and_keeps_what_is_chosen(
    serve: Serve, open_tab: Open
) -> None:
    site = serve()
    run = site.store.runs.start(NewRun(run_id="long", agent_id="bot", started_at=START))
    used(site.store, run.id, SPANS, again=3)
    site.store.runs.finish(run.id)
    page = open_tab(site).open(f"/r/{run.id}")
    # The whole, each use, and the tries as one.
    rows = SPANS + 2
    expect(page.locator(f'table.fall[data-drawn="{rows}"]')).to_be_visible()
    for share in (0.5, 1.0):
        page.evaluate("share => scrollTo(0, document.body.scrollHeight * share)", share)
        place = int(SPANS * share) - (1 if share == 1 else 0)
        expect(page.get_by_text(f"tool-{place:05}")).to_be_attached()
        assert page.evaluate("document.querySelectorAll('*').length") < MOST_NODES
    page.get_by_role("link", name=f"tool-{SPANS - 2:05}").click()
    expect(page.locator("#detail h2")).to_have_text(f"tool · tool-{SPANS - 2:05}")
    expect(page.locator(f'table.fall[data-drawn="{rows}"] tr.selected')).to_contain_text(f"tool-{SPANS - 2:05}")
    group = page.get_by_role("link", name="again ×3")
    expect(page.locator("tr.group")).to_contain_text("2 failed, tried again")
    group.click()
    expect(page.locator(f'table.fall[data-drawn="{rows + 3}"]')).to_be_visible()
    expect(group).to_have_attribute("aria-expanded", "true")
    expect(group).to_be_in_viewport()
    page.get_by_role("link", name="✕ again", exact=True).first.click()
    expect(page.locator("#detail h2")).to_have_text("tool · again")
    expect(page.locator(f'table.fall[data-drawn="{rows + 3}"] tr.selected')).to_contain_text("✕ again")


def test_a_run_that_goes_on_draws_itself_and_leaves_focus_and_folds_as_they_are(serve: Serve, open_tab: Open) -> None:
    site = serve()
    session = site.store.sessions.create(NewSession(session_id="s"))
    run = site.store.runs.start(NewRun(run_id="r", agent_id="bot", session_uuid=session.id))
    site.store.llm_calls.record(
        NewLLMCall(model="first-model", run_uuid=run.id, latency_ms=5, response_content="x" * 5000)
    )
    page = open_tab(site).open(f"/r/{run.id}")
    page.get_by_role("link", name="first-model").click()
    page.locator("#detail details summary").first.click()
    page.get_by_role("link", name="first-model").focus()
    site.store.llm_calls.record(
        NewLLMCall(model="second-model", run_uuid=run.id, latency_ms=5, cost_nanos=2_000_000_000)
    )
    expect(page.get_by_role("link", name="second-model")).to_be_visible()
    expect(page.locator("#head")).to_contain_text("$2.00")
    expect(page.get_by_role("link", name="first-model")).to_be_focused()
    expect(page.locator("#detail details").first).to_have_attribute("open", "")
    site.store.runs.finish(run.id)
    expect(page.locator("#head h1")).to_contain_text("completed")


def test_each_tab_of_a_run_and_two_runs_side_by_side_are_for_everybody(serve: Serve, open_tab: Open) -> None:
    site = serve()
    session = site.store.sessions.create(NewSession(session_id="s"))
    runs = []
    for name, output in (("a", "one\ntwo"), ("b", "one\nthree")):
        new = NewRun(run_id=name, agent_id="bot", session_uuid=session.id, objective="x" * 200, metadata='{"k": 1}')
        run = site.store.runs.start(new)
        site.store.messages.append(session.id, [NewMessage(role=MessageRole.USER, content=MARKDOWN, run_uuid=run.id)])
        site.store.events.record(NewEvent(event_type=EventType.PLANNING_STARTED, run_uuid=run.id, data='{"plan": 1}'))
        tokens = TokenCounts(input=1_000_000, output=1)
        site.store.llm_calls.record(NewLLMCall(model="claude-opus-4-5", run_uuid=run.id, tokens=tokens, latency_ms=70))
        for error in ("no such file", "no such file", None):
            tool = site.store.tool_calls.record(NewToolCall(tool_name="Bash", run_uuid=run.id, started_at=START))
            site.store.tool_calls.finish(tool.id, error_message=error, finished_at=START)
        site.store.runs.finish(run.id, output=output)
        runs.append(run.id)
    first, second = runs
    tab = open_tab(site, permissions=["clipboard-read", "clipboard-write"])
    tabs = [f"/r/{first}?tab={name}" for name in ("conversation", "events", "attributes", "json")]
    views = [f"/r/{first}?errors=only&bars=cost&short=hidden", f"/runs/compare?a={first}", f"/r/{first}?spans=x:y"]
    found = {}
    for path in (*tabs, *views, f"/runs/compare?a={first}&b={second}", "/s/s"):
        tab.may_fail = "x:y" in path
        page = tab.open(path)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found[path, scheme] = axe_violations(page)
    size = tab.page.viewport_size
    tab.page.set_viewport_size({"width": 390, "height": 800})
    page = tab.open(f"/runs/compare?a={first}&b={second}")
    wide = page.get_by_role("region", name="Models")
    assert wide.evaluate("one => one.scrollWidth > one.clientWidth")
    found["two runs on a phone", "dark"] = axe_violations(page)
    tab.page.set_viewport_size(size or {"width": 1280, "height": 720})
    tab.open("/s/s")
    assert {where: wrong for where, wrong in found.items() if wrong} == {}
    tab.page.get_by_role("button", name="Copy as Markdown").click()
    expect(tab.page.get_by_role("button", name="Copied")).to_be_visible()
    assert MARKDOWN in tab.page.evaluate("navigator.clipboard.readText()")


def test_a_tree_is_folded_by_hand_and_by_keys_and_its_address_reproduces_it(serve: Serve, open_tab: Open) -> None:
    site = serve()
    run = site.store.runs.start(NewRun(run_id="top", agent_id="bot", started_at=START)).id
    for second, (agent, count) in enumerate((("short", 2), ("long", 300))):
        began = START + timedelta(seconds=second)
        below = site.store.runs.start(NewRun(run_id=agent, agent_id=agent, parent_uuid=run, started_at=began)).id
        used(site.store, below, count)
        site.store.runs.finish(below)
    site.store.runs.finish(run)
    tab = open_tab(site)
    page = tab.open(f"/r/{run}")
    rows = page.locator("table.fall tbody tr:not(.gap)")
    folds = page.locator("table.fall a.fold")
    expect(page.locator('table.fall[data-drawn="305"]')).to_be_visible()
    expect(folds.nth(1)).to_have_attribute("aria-expanded", "true")
    # A click folds in place: the page is not loaded anew, and the focus stays.
    page.evaluate("window.kept = true")
    folds.nth(2).focus()
    folds.nth(2).click()
    expect(page.locator("table.fall[data-drawn]")).to_have_count(0)
    expect(rows).to_have_count(5)
    expect(folds.nth(2)).to_be_focused()
    expect(folds.nth(2)).to_have_attribute("aria-expanded", "false")
    expect(rows.nth(4)).to_contain_text("300 below")
    # ← goes to what a row is in and folds it, → shows what is below it and goes there.
    page.get_by_role("link", name="tool-00001").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("link", name="short", exact=True)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(rows).to_have_count(3)
    expect(page.get_by_role("link", name="short", exact=True)).to_be_focused()
    folded = page.url
    assert folded.count("fold=") == 1
    page.keyboard.press("ArrowRight")
    expect(rows).to_have_count(5)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("link", name="tool-00000").first).to_be_focused()
    assert page.evaluate("window.kept")
    said = page.locator("#fall").inner_text
    page.goto(folded)
    expect(rows).to_have_count(3)
    shown = said()
    page.reload()
    assert said() == shown
    page.get_by_role("link", name="unfold all").click()
    expect(page.locator('table.fall[data-drawn="305"]')).to_be_visible()
    page.get_by_role("link", name="fold all", exact=True).click()
    expect(rows).to_have_count(3)
    assert axe_violations(page) == []
    # A card says the whole of a row at its bar, and at the row that the keys lead to; Esc takes it away.
    card = page.get_by_role("tooltip")
    expect(card).to_have_count(0)
    rows.nth(1).locator(".where").hover()
    expect(card).to_contain_text("short")
    page.keyboard.press("Escape")
    expect(card).to_have_count(0)
    page.mouse.move(0, 0)
    for _ in range(3):
        page.keyboard.press("j")
    expect(card).to_contain_text("300 below")
    expect(page.get_by_role("link", name="long", exact=True)).to_have_attribute("aria-describedby", "card-at")
