"""Live pages in a real browser: they draw themselves anew, lightly, without losing a change or anybody's place."""

import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sites import Open, Serve, Site, Tab

from agentrecord.records.error import NewError
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from counts import count

PER_SECOND = 50
TASK_SHARE = 0.15
COLLECT = """() => {
  window.seen = [];
  document.addEventListener("live", (event) => window.seen.push(...event.detail.items.map((item) => item.id)));
}"""


@pytest.fixture
def site(serve: Serve) -> Site:
    """Return a server over a record with a few runs."""
    found = serve()
    for number in range(60):
        run = found.store.runs.start(NewRun(run_id=f"old {number}", objective=f"old {number}", agent_id="coder"))
        found.store.runs.finish(run.id)
    return found


def live(tab: Tab, path: str = "/runs") -> Page:
    """Open a page and turn it live."""
    page = tab.open(path)
    page.evaluate(COLLECT)
    expect(page.get_by_role("button", name="○ Live")).to_be_visible()
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="◉ Live")).to_be_visible()
    return page


def start(site: Site, name: str) -> str:
    return str(site.store.runs.start(NewRun(run_id=name, objective=name, agent_id="coder")).id)


def row(page: Page, name: str) -> Any:
    return page.locator("table.rows > tbody > tr", has_text=name)


def test_a_run_appears_changes_and_keeps_its_row(site: Site, open_tab: Open) -> None:
    page = live(open_tab(site))
    run = site.store.runs.start(NewRun(run_id="new", objective="the new one", agent_id="coder"))
    expect(row(page, "the new one")).to_contain_text("running")
    expect(page.locator("table.rows > tbody > tr").first).to_contain_text("the new one")
    row(page, "the new one").get_by_role("link", name="the new one").focus()
    page.evaluate("document.activeElement.closest('tr').mark = 'the same'")
    site.store.runs.finish(run.id)
    expect(row(page, "the new one")).to_contain_text("completed")
    focused = page.evaluate("[document.activeElement.textContent, document.activeElement.closest('tr')?.mark]")
    assert focused == ["the new one", "the same"]
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="○ Live")).to_be_visible()


def test_a_filter_holds_for_what_comes(site: Site, open_tab: Open) -> None:
    page = live(open_tab(site), "/runs?status=error")
    good, bad = (site.store.runs.start(NewRun(run_id=name, objective=name)) for name in ("good", "bad"))
    site.store.runs.finish(good.id)
    site.store.runs.fail(bad.id, error_message="no")
    expect(row(page, "bad")).to_be_visible()
    assert row(page, "good").count() == 0


def test_nothing_moves_under_the_pointer(site: Site, open_tab: Open) -> None:
    page = live(open_tab(site))
    page.locator("table.rows > tbody > tr").nth(3).hover()
    for number in range(5):
        start(site, f"while hovering {number}")
    more = page.get_by_role("button", name="5 new")
    expect(more).to_be_visible()
    assert row(page, "while hovering").count() == 0
    more.click()
    expect(row(page, "while hovering")).to_have_count(5)
    page.mouse.wheel(0, 900)
    expect(page.get_by_role("button", name="Live, paused")).to_be_visible()
    start(site, "while scrolled")
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    expect(row(page, "while scrolled")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/sessions", "/errors"])
def test_other_pages_are_live_too(path: str, site: Site, open_tab: Open) -> None:
    page = live(open_tab(site), path)
    site.store.errors.record(NewError(error_type="Timeout", error_message="it took too long"))
    site.store.sessions.create(NewSession(session_id="s", title="brand new"))
    start(site, "brand new")
    expect(page.locator("main")).to_contain_text("it took too long" if path == "/errors" else "brand new")


def test_a_page_whose_stream_is_refused_asks_from_time_to_time_and_follows_when_it_may(
    site: Site, open_tab: Open
) -> None:
    tab = open_tab(site)
    tab.may_fail = True
    page = tab.open("/runs")
    page.route("**/api/live*", lambda route: route.fulfill(status=429, headers={"Retry-After": "30"}))
    page.get_by_role("button", name="○ Live").click()
    start(site, "while refused")
    expect(row(page, "while refused")).to_be_visible()
    expect(page.get_by_role("button", name="◔ Live")).to_be_visible()
    page.unroute("**/api/live*")
    expect(page.get_by_role("button", name="◉ Live")).to_be_visible(timeout=20_000)
    start(site, "once followed")
    expect(row(page, "once followed")).to_be_visible()


def test_fifty_changes_a_second_cost_little_and_none_is_lost_in_a_cut(site: Site, open_tab: Open) -> None:
    tab = open_tab(site)
    tab.may_fail = True
    page = live(tab)
    seconds = count(3, 10)
    client = page.context.new_cdp_session(page)
    # The thread's own time: what other programs do meanwhile is not the page's doing.
    client.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = task_seconds(client)
    ids = []
    began = time.monotonic()
    for number in range(seconds * PER_SECOND):
        if number % 2:
            ids.append(start(site, f"run {number}"))
        else:
            call = NewLLMCall(model="m", tokens=TokenCounts(input=1, output=1), cost_nanos=1)
            ids.append(str(site.store.llm_calls.record(call).id))
        if number == seconds * PER_SECOND // 2:
            cut = page.context.new_cdp_session(page)
            cut.send("Network.enable")
            cut.send("Network.emulateNetworkConditions",
                     {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})  # fmt: skip
            page.wait_for_timeout(300)
            cut.send("Network.emulateNetworkConditions",
                     {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})  # fmt: skip
        # Playwright's own wait: it keeps the page's events coming.
        page.wait_for_timeout(max(0.0, (began + number / PER_SECOND - time.monotonic()) * 1000))
    page.wait_for_function("(count) => new Set(window.seen).size >= count", arg=len(ids))
    spent = task_seconds(client) - before
    seen = page.evaluate("window.seen")
    assert sorted(seen) == sorted(ids)
    expect(page.locator("table.rows > tbody > tr").first).to_contain_text(f"run {seconds * PER_SECOND - 1}")
    assert spent <= TASK_SHARE * max(seconds, time.monotonic() - began)


def task_seconds(client: Any) -> float:
    """Return how long the page's main thread has worked."""
    metrics = {one["name"]: one["value"] for one in client.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])
