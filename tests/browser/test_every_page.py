"""Every page in a real browser: for everybody's eyes and hands, on any screen, asking nobody else."""

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from contents import PAYLOADS, Contents, fill, fill_with_payloads
from everything import addresses, axe_violations, page_routes, script_bytes, text_of
from playwright.sync_api import Browser, expect
from sites import Site
from watched import Watched, started, watched

from counts import count, is_long
from databases import Databases

MAX_NODES = 3_000
MAX_SCRIPT_BYTES = 30 * 1024

SQUEEZED = """() => [
    ...[...document.querySelectorAll('.facets dt')].filter(label => {
        const words = document.createRange();
        words.selectNodeContents(label);
        return words.getClientRects().length > 1;
    }).map(label => `the word ${label.textContent} is broken`),
    ...[...document.querySelectorAll('.cards tbody td')].filter(
        cell => cell.offsetWidth && getComputedStyle(cell).maxWidth !== 'none'
    ).map(cell => `a card leaves ${cell.dataset.label} ${cell.offsetWidth} px`),
]"""
"""What on a narrow screen has less room than the screen could give it."""


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.fixture(scope="module")
def site(stack: ExitStack, databases: Databases) -> Site:
    """Return a server over a record with one of everything."""
    return started(stack, databases)


@pytest.fixture(scope="module")
def contents(site: Site) -> Contents:
    """Return what the record holds."""
    return fill(site.store)


@pytest.fixture(scope="module")
def paths(contents: Contents) -> list[str]:
    """Return the addresses of all pages."""
    return [path for found in addresses(contents).values() for path in found]


@pytest.fixture(scope="module")
def tab(browser: Browser, stack: ExitStack, site: Site) -> Watched:
    """Return a tab that all tests of this module share."""
    return watched(browser, stack, site)


@pytest.fixture(autouse=True)
def as_wide_and_light_as_at_first(tab: Watched) -> Iterator[None]:
    """Give the shared tab its size and colours back."""
    yield
    tab.page.set_viewport_size({"width": 1440, "height": 900})
    tab.page.emulate_media(color_scheme="light", media="screen")


def test_no_page_is_forgotten(contents: Contents) -> None:
    assert page_routes() == set(addresses(contents))


def test_every_page_is_for_everybody_in_light_and_dark(tab: Watched, paths: list[str]) -> None:
    found = {}
    for path in paths:
        page = tab.open(path)
        page.emulate_media(color_scheme="light")
        found[path, "light"] = axe_violations(page)
        # The page is the same but for its colours.
        page.emulate_media(color_scheme="dark")
        found[path, "dark"] = axe_violations(page, "color-contrast")
    assert {where: wrong for where, wrong in found.items() if wrong} == {}


def test_every_page_is_small_quiet_and_fits_any_screen(tab: Watched, paths: list[str]) -> None:
    wrong = []
    for path in paths:
        page = tab.open(path)
        nodes = page.evaluate("document.getElementsByTagName('*').length")
        if nodes > MAX_NODES:
            wrong.append(f"{path}: {nodes} nodes")
        # 640 is a window of 1280 at twice the size of everything.
        for width in (640, 390):
            page.set_viewport_size({"width": width, "height": 844})
            needed = page.evaluate("document.documentElement.scrollWidth")
            if needed > width:
                wrong.append(f"{path}: {needed} px of {width}")
        wrong.extend(f"{path}: {said}" for said in page.evaluate(SQUEEZED))
        page.set_viewport_size({"width": 1440, "height": 900})
        if script_bytes(tab.scripts) > MAX_SCRIPT_BYTES:
            wrong.append(f"{path}: {script_bytes(tab.scripts)} bytes of scripts")
        wrong.extend(f"{path}: {said}" for said in tab.complaints)
    assert wrong == []


def without_ages(text: str) -> str:
    """Return a text without what a minute may change: how long something goes on."""
    # No word has to end after it: cells that follow one another stand close in a page's text.
    return re.sub(r"\d+(\.\d+)? (ms|m \d\d s|s)", "…", text)


def test_without_scripts_every_page_says_the_same(
    browser: Browser, stack: ExitStack, site: Site, tab: Watched, paths: list[str]
) -> None:
    bare = watched(browser, stack, site, java_script_enabled=False)
    # The chat's form says what its scripts would do; settings say how many rows there are, and how much room.
    for path in [path for path in paths if not path.startswith(("/chat", "/settings?")) and path != "/settings"]:
        assert without_ages(text_of(bare.open(path))) == without_ages(text_of(tab.open(path))), path


def test_an_address_that_is_reloaded_copied_or_come_back_to_shows_the_same(
    browser: Browser, stack: ExitStack, site: Site, contents: Contents, tab: Watched
) -> None:
    other = watched(browser, stack, site)
    for path in (f"/s/{contents.session}", f"/r/{contents.run}", f"/r/{contents.run}?span={contents.tool}",
                 f"/r/{contents.run}?span={contents.call}", "/runs", "/cost?by=user"):  # fmt: skip
        first = without_ages(text_of(tab.open(path)))
        assert first
        address = tab.page.url
        tab.page.reload()
        assert without_ages(text_of(tab.page)) == first, path
        tab.page.goto(f"{site.url}/prices")
        tab.page.go_back()
        assert without_ages(text_of(tab.page)) == first, path
        other.page.goto(address)
        assert without_ages(text_of(other.page)) == first, path


def test_a_printed_page_has_the_content_and_none_of_what_is_clicked(tab: Watched, contents: Contents) -> None:
    page = tab.open(f"/s/{contents.session}")
    page.emulate_media(media="print", color_scheme="dark")
    assert "My invoice is wrong" in page.locator("main").inner_text()
    for hidden in (".top", ".foot"):
        assert not page.locator(hidden).is_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"


def test_nothing_moves_for_who_asked_for_stillness(browser: Browser, stack: ExitStack, site: Site) -> None:
    still = watched(browser, stack, site, reduced_motion="reduce")
    page = still.open("/sessions")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    moving = "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).animationName !== 'none').length"
    assert page.evaluate(moving) == 0


# -- keys --------------------------------------------------------------------------------------------------------------


def test_the_palette_leads_from_a_name_to_its_page(tab: Watched, contents: Contents) -> None:
    page = tab.open("/sessions")
    page.keyboard.press("/")
    expect(page.get_by_role("combobox", name="Search everything")).to_be_focused()
    page.keyboard.type("talk-b")
    expect(page.locator("#palette-list [role=option]").first).to_contain_text("talk-bob")
    assert axe_violations(page) == []
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/s/{contents.session}")
    page.keyboard.press("Control+k")
    page.keyboard.type("pri")
    # Typed and opened at once: the answer is waited for.
    page.keyboard.press("Enter")
    page.wait_for_url("**/prices")
    page.keyboard.press("/")
    page.keyboard.type("invoice")
    expect(page.locator("#palette-list [role=option]")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    expect(page.locator("#palette-list [aria-selected=true]")).to_have_attribute("id", "palette-1")
    page.keyboard.press("Escape")
    expect(page.get_by_role("combobox", name="Search everything")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("no such thing anywhere")
    expect(page.locator("#palette-note")).to_contain_text("No name or title holds this")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=no+such+thing+anywhere")


def test_single_keys_go_to_pages_and_can_be_switched_off(tab: Watched) -> None:
    page = tab.open("/prices")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    assert axe_violations(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    for key, path in {"s": "/sessions", "r": "/runs", "c": "/cost", "e": "/errors", "h": "/chat"}.items():
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**{path}")
    page = tab.open("/settings?keys=off")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Search everything")).to_be_focused()
    page = tab.open("/settings?keys=on")
    page.get_by_role("searchbox", name="Search").first.focus()
    page.keyboard.type("?gs")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    expect(page.get_by_role("searchbox", name="Search").first).to_have_value("?gs")


def test_a_table_is_one_tab_stop_and_its_rows_are_reached_by_arrows(tab: Watched, contents: Contents) -> None:
    page = tab.open("/sessions")
    reachable = """[...document.querySelectorAll('table.rows tbody tr')]
        .map(row => row.querySelectorAll('a:not([tabindex])').length > 0)"""
    rows = page.evaluate(reachable)
    assert len(rows) > 2
    assert rows == [True, *[False] * (len(rows) - 1)]
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(reachable) == [False, True, *[False] * (len(rows) - 2)]
    expect(page.locator("table.rows tbody tr").nth(1).locator("a").first).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator("table.rows tbody tr").nth(0).locator("a").first).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/s/**")


def test_rows_are_selected_by_a_key_to_compare_two_runs_or_to_see_just_these(tab: Watched, contents: Contents) -> None:
    page = tab.open("/runs?since=all")
    chosen = page.get_by_role("region", name="Selected rows")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(chosen).to_contain_text("1 row selected")
    expect(chosen.get_by_role("link", name="Compare")).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#announce")).to_have_text("2 rows selected")
    expect(page.locator('tr[aria-selected="true"]')).to_have_count(2)
    assert axe_violations(page) == []
    page.keyboard.press("x")
    expect(chosen).to_contain_text("1 row selected")
    page.keyboard.press("Escape")
    expect(chosen).to_be_hidden()
    page.keyboard.press("x")
    page.keyboard.press("k")
    page.keyboard.press("x")
    first, second = (page.locator("table.list tbody tr th a").nth(n).get_attribute("href") for n in (0, 1))
    chosen.get_by_role("link", name="Show only these").click()
    expect(page.locator("table.list tbody tr")).to_have_count(2)
    page.go_back()
    for _ in range(2):
        page.keyboard.press("j")
        page.keyboard.press("x")
    page.get_by_role("link", name="Compare").click()
    # The later one is held against the earlier.
    page.wait_for_url(f"**/runs/compare?a={str(second)[3:]}&b={str(first)[3:]}")
    for path in ("/agents", "/users", "/errors"):
        tab.open(f"{path}?since=all")
        page.keyboard.press("j")
        page.keyboard.press("x")
        chosen.get_by_role("link", name="Show only these").click()
        page.wait_for_url(f"**{path}?q=*")
        expect(page.locator("table.list tbody tr")).to_have_count(1)


def test_the_filter_is_a_key_away_and_the_id_of_a_row_is_copied(
    browser: Browser, stack: ExitStack, site: Site, contents: Contents
) -> None:
    page = watched(browser, stack, site, permissions=["clipboard-read", "clipboard-write"]).open("/runs?since=all")
    page.keyboard.press("f")
    expect(page.get_by_role("combobox", name="Filter")).to_be_focused()
    expect(page.get_by_role("combobox", name="Filter")).to_have_value("")
    for path, copied in (
        ("/runs?q=run:run-bob", "run-bob"), ("/sessions?q=session:talk-bob", "talk-bob"),
        ("/agents?q=agent:support-bot", contents.agent), ("/users?q=user:bob*", contents.user),
    ):  # fmt: skip
        page.goto(site.url + path)
        page.keyboard.press("j")
        page.keyboard.press(".")
        expect(page.get_by_text("Id copied")).to_be_attached()
        assert page.evaluate("navigator.clipboard.readText()") == copied, path


def test_what_is_hidden_in_a_wide_table_does_not_widen_the_page(tab: Watched, contents: Contents) -> None:
    tab.page.set_viewport_size({"width": 720, "height": 500})
    page = tab.open("/prices")
    assert page.evaluate("document.documentElement.scrollWidth") <= 720


def test_a_narrow_screen_shows_the_present_page_in_the_navigation_and_the_latest_of_a_chart(
    tab: Watched, contents: Contents
) -> None:
    tab.page.set_viewport_size({"width": 390, "height": 800})
    page = tab.open(f"/errors/{contents.fingerprint}")
    for shown in (page.locator("nav [aria-current=page]"), page.locator("svg.bars rect").last):
        place = shown.bounding_box()
        assert place is not None
        assert 0 <= place["x"] <= place["x"] + place["width"] <= 390


def test_the_first_tab_stop_leads_past_the_navigation(tab: Watched) -> None:
    page = tab.open("/cost")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    assert page.locator("nav [aria-current=page]").inner_text() == "Cost"


# -- what others wrote -------------------------------------------------------------------------------------------------

HARMFUL = (
    "main script, main iframe, main object, main embed, main img, main base, main style, main link, main meta, main"
    " portal, main video, main svg [onbegin], main [onerror], main [onload], main [onfocus], main [ontoggle], main"
    " [onmouseover], main [style], main a[href^='javascript:'], main a[href^='data:'], main form[action^='//']"
)


def test_what_others_wrote_is_text_wherever_it_is_shown(
    browser: Browser, stack: ExitStack, databases: Databases
) -> None:
    hostile = started(stack, databases)
    rows = fill_with_payloads(hostile.store)
    sessions, runs = rows[: len(PAYLOADS)], rows[len(PAYLOADS) :]
    shown = count(4, len(PAYLOADS))
    steps = max(1, len(PAYLOADS) // shown)
    paths = ["/", "/?since=7d", "/chat", "/sessions?since=all", "/runs?since=all", "/errors", "/imports", "/prices",
             "/settings/people", "/sql?q=SELECT+*+FROM+ar_messages", "/sql?q=SELECT+*+FROM+ar_tool_calls"]  # fmt: skip
    paths += [f"/cost?since=all&by={by}" for by in ("model", "user", "agent", "session")]
    paths += [f"/s/{session}" for session in sessions[::steps]] + [f"/r/{run}" for run in runs[::steps]]
    for run in runs[::steps]:
        call = hostile.store.llm_calls.list(run=run).items[0].id
        tool = hostile.store.tool_calls.list(run=run).items[0].id
        paths += [f"/r/{run}?span={call}", f"/r/{run}?span={tool}"]
    tab = watched(browser, stack, hostile)
    for path in paths:
        page = tab.open(path)
        assert page.locator(HARMFUL).count() == 0, path
        assert tab.complaints == [], path
    for text in PAYLOADS if is_long() else PAYLOADS[:4]:
        page = tab.open("/search?q=%22" + "".join(f"%{byte:02x}" for byte in text.encode()))
        assert page.locator(HARMFUL).count() == 0, text
        assert tab.complaints == [], text
    page = tab.open("/")
    page.keyboard.press("/")
    for text in ("1 <img", "0 <script", "alert"):
        page.get_by_role("combobox", name="Search everything").fill(text)
        expect(page.locator("#palette-list [role=option]").first).to_be_visible()
        assert page.locator("#palette-list :is(img, script, svg, iframe)").count() == 0
    assert tab.complaints == []


# -- odd records -------------------------------------------------------------------------------------------------------


def test_a_record_with_nothing_in_it_says_what_would_be_there(
    browser: Browser, stack: ExitStack, databases: Databases
) -> None:
    tab = watched(browser, stack, started(stack, databases))
    for path in ("/", "/chat", "/sessions", "/runs", "/cost", "/errors", "/search", "/search?q=x", "/settings",
                 "/prices", "/imports", "/sql?q=SELECT+1+WHERE+1=0", "/settings/people", "/settings/keys"):  # fmt: skip
        page = tab.open(path)
        assert len(text_of(page)) > 20, path
        assert "0.0 %" not in text_of(page), path
        assert tab.complaints == [], path
        assert axe_violations(page) == [], path
