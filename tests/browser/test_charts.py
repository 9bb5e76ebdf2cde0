"""Charts and questions in SQL in a real browser: bars tell their numbers, dragging sets the range, names complete."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from everything import axe_violations
from playwright.sync_api import Browser, Page, expect
from sites import Site
from watched import Watched, started, watched

from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.tokens import TokenCounts
from databases import Databases

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAYS = [TODAY - timedelta(days=back) for back in range(6, -1, -1)]
NAMES = [f"{day:%Y-%m-%d}" for day in DAYS]


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.fixture(scope="module")
def site(stack: ExitStack, databases: Databases) -> Site:
    """Return a server over a record with calls on two days of the last week: the second and the last but one."""
    site = started(stack, databases)
    run = site.store.runs.start(NewRun(run_id="r-1", agent_id="coder"), user="ana").id
    for day, model in ((1, "claude-opus-4-5"), (1, "claude-haiku-4-5"), (5, "claude-haiku-4-5")):
        site.store.llm_calls.record(
            NewLLMCall(model=model, host="Anthropic", run_uuid=run, timestamp=DAYS[day] + timedelta(hours=1),
                       tokens=TokenCounts(input=100_000, output=10_000))
        )  # fmt: skip
    return site


@pytest.fixture(scope="module")
def tab(browser: Browser, stack: ExitStack, site: Site) -> Watched:
    """Return a tab of the size of a screen."""
    return watched(browser, stack, site)


def bar(page: Page, place: int) -> tuple[float, float]:
    """Return a point in the middle of one of the seven bars of the last week's chart."""
    box = page.locator("svg.bars").bounding_box()
    assert box is not None
    left = 58 / 1240
    return box["x"] + box["width"] * (left + (1 - left) * (place + 0.5) / 7), box["y"] + box["height"] / 2


def range_of(page: Page) -> list[str]:
    asked = parse_qs(urlsplit(page.url).query)
    return asked.get("from", []) + asked.get("to", []) + asked.get("by", [])


def test_a_bar_tells_its_numbers_and_dragging_over_bars_sets_the_range(tab: Watched) -> None:
    page, tip = tab.open("/cost?since=7d&by=user"), tab.page.get_by_role("tooltip")
    page.mouse.move(*bar(page, 1))
    expect(tip).to_contain_text(NAMES[1])
    assert tip.locator(".n").all_inner_texts() == ["$0.9000", "$0.9000"]
    tab.open("/cost?since=7d&by=model")
    page.mouse.move(*bar(page, 1))
    assert [row.split("$")[0].strip() for row in tip.locator("div").all_inner_texts()] == [
        NAMES[1], "claude-haiku-4-5", "claude-opus-4-5",
    ]  # fmt: skip
    page.mouse.move(*bar(page, 2))
    expect(tip).to_have_text(f"{NAMES[2]}–")
    page.mouse.down()
    page.mouse.move(*bar(page, 3))
    page.mouse.move(*bar(page, 5), steps=3)
    expect(tip).to_contain_text(f"{NAMES[2]} – {NAMES[5]}")
    assert axe_violations(page) == []
    page.keyboard.press("Escape")
    expect(tip).to_have_count(0)
    page.mouse.up()
    assert range_of(page) == ["model"]
    page.mouse.move(*bar(page, 5))
    page.mouse.down()
    page.mouse.move(*bar(page, 2), steps=3)
    page.mouse.up()
    page.wait_for_url("**from=**")
    assert range_of(page) == [NAMES[2], NAMES[5], "model"]
    assert page.locator("tfoot [data-calls]").get_attribute("data-calls") == "1"
    page.go_back()
    expect(page.locator("tfoot [data-calls]")).to_have_attribute("data-calls", "3")
    assert tab.complaints == []


def test_keys_go_from_bar_to_bar_and_choose_several(tab: Watched) -> None:
    page, tip = tab.open("/cost?since=7d"), tab.page.get_by_role("tooltip")
    page.get_by_text("As a table").press("Shift+Tab")
    expect(page.get_by_role("region", name="Spend per day by model", exact=True)).to_be_focused()
    expect(tip).to_contain_text(f"{NAMES[6]}–")
    page.keyboard.press("ArrowLeft")
    expect(tip).to_contain_text(f"{NAMES[5]}$0.1500")
    expect(page.locator("#announce")).to_have_text(f"{NAMES[5]}: $0.1500, claude-haiku-4-5: $0.1500")
    page.keyboard.press("Shift+ArrowLeft")
    expect(tip).to_contain_text(f"{NAMES[4]} – {NAMES[5]}")
    page.keyboard.press("Escape")
    expect(tip).to_have_count(0)
    page.keyboard.press("End")
    page.keyboard.press("Shift+Home")
    page.keyboard.press("Enter")
    page.wait_for_url("**from=**")
    assert range_of(page) == [NAMES[0], NAMES[6]]
    # One bar leads where a click on it does.
    page.get_by_text("As a table").press("Shift+Tab")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs?**")
    assert range_of(page) == [NAMES[5], NAMES[5]]


def test_a_range_is_typed_in_a_panel_that_lies_over_the_page_and_closes_by_a_key(tab: Watched) -> None:
    page = tab.open("/cost?since=7d&by=user")
    start, opener = page.get_by_label("From"), page.locator("details.pop summary")
    opener.press("Enter")
    expect(start).to_be_visible()
    start.press("Escape")
    expect(start).not_to_be_visible()
    expect(opener).to_be_focused()
    opener.press("Enter")
    start.fill(f"{NAMES[0]}T00:00:00")
    page.get_by_label("To", exact=True).fill(f"{NAMES[3]}T00:00:00")
    page.get_by_label("To", exact=True).press("Enter")
    page.wait_for_url("**from=**")
    assert range_of(page) == [f"{NAMES[0]}T00:00", f"{NAMES[3]}T00:00", "user"]
    expect(page.get_by_role("link", name=f"{NAMES[0]} 00:00 – {NAMES[3]} 00:00")).to_be_visible()
    assert page.locator("tfoot [data-calls]").get_attribute("data-calls") == "2"


def test_a_finger_taps_for_the_numbers_holds_to_choose_and_else_scrolls(
    browser: Browser, stack: ExitStack, site: Site
) -> None:
    tab = watched(browser, stack, site, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page, tip = tab.open("/cost?since=7d"), tab.page.get_by_role("tooltip")
    page.locator("svg.bars").scroll_into_view_if_needed()
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, place: int | None = None) -> None:
        points = [] if place is None else [dict(zip("xy", bar(page, place), strict=True))]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    page.touchscreen.tap(*bar(page, 5))
    expect(tip).to_contain_text("Tap again to open it")
    assert range_of(page) == []
    touch("touchStart", 5)
    # What is held tells its numbers without a word of taps.
    expect(tip).to_have_text(f"{NAMES[5]}$0.1500claude-haiku-4-5$0.1500")
    touch("touchMove", 6)
    expect(tip).to_contain_text(f"{NAMES[5]} – {NAMES[6]}")
    touch("touchEnd")
    page.wait_for_url("**from=**")
    assert range_of(page) == [NAMES[5], NAMES[6]]


def test_a_question_in_sql_completes_names_runs_by_a_key_and_is_ordered_by_a_click(tab: Watched) -> None:
    page = tab.open("/sql")
    field, options = page.get_by_label("Query"), page.get_by_role("option")
    field.press_sequentially("SELECT r.run_id, c.cost_nanos FROM ar_llm")
    expect(options.first).to_contain_text("ar_llm_calls")
    field.press("ArrowDown")
    field.press("Enter")
    field.press_sequentially(" AS c JOIN ar_runs AS r ON r.id = c.run_u")
    expect(options).to_have_text(["run_uuidar_llm_calls"])
    field.press("Escape")
    field.press("Tab")
    expect(page.get_by_role("button", name="Run")).to_be_focused()
    field.press("End")
    field.press("ArrowDown")
    field.press("Tab")
    field.press_sequentially("uid -- ar_r")
    expect(options).to_have_count(0)
    field.press("Control+Enter")
    page.wait_for_url("**/sql?q=*")
    costs = page.locator("table.result td.n")
    expect(costs).to_have_count(3)
    page.get_by_role("link", name="cost_nanos").click()
    expect(page.get_by_role("columnheader", name="cost_nanos ▼")).to_have_attribute("aria-sort", "descending")
    assert costs.all_inner_texts() == ["750000000", "150000000", "150000000"]
    page.get_by_role("link", name="cost_nanos").click()
    expect(costs.first).to_have_text("150000000")
    page.get_by_role("link", name="r-1").first.click()
    page.wait_for_url("**/r/r-1*")
    assert tab.complaints == []
