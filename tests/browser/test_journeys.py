"""The questions that people come with, each answered in as few clicks as was promised; and records that are odd."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from contents import Contents, fill
from everything import axe_violations, text_of
from playwright.sync_api import Browser, Locator, Page, expect
from sites import Site
from watched import Watched, started, watched

from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.store import Store
from counts import count
from databases import Databases


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.fixture(scope="module")
def site(stack: ExitStack, databases: Databases) -> Site:
    """Return a server over an empty record."""
    return started(stack, databases)


@pytest.fixture(scope="module")
def contents(site: Site) -> Contents:
    """Return what the record holds."""
    return fill(site.store)


@pytest.fixture(scope="module")
def tab(browser: Browser, stack: ExitStack, site: Site) -> Watched:
    """Return a tab that all tests of this module share."""
    return watched(browser, stack, site)


@dataclass
class Visitor:
    """Somebody who comes to the first page with a question, and counts what they click."""

    page: Page
    clicks: int = 0

    def click(self, what: Locator) -> None:
        """Click something that leads to another page."""
        self.clicks += 1
        before = self.page.url
        what.click()
        self.page.wait_for_function("before => location.href !== before", arg=before)


@pytest.fixture
def visitor(tab: Watched, contents: Contents) -> Visitor:
    """Return a visitor on the first page."""
    return Visitor(tab.open("/"))


def test_what_did_bobs_last_session_cost_and_why(visitor: Visitor) -> None:
    page = visitor.page
    page.keyboard.press("/")
    page.keyboard.type("bob")
    page.keyboard.press("Enter")
    visitor.clicks += 1
    page.wait_for_url("**/u/bob%40acme.io")
    row = page.locator("tr", has_text="Refund for bob")
    expect(row).to_contain_text("$0.2452")
    expect(row).to_contain_text("claude-opus-4-5")
    assert visitor.clicks <= 2
    visitor.click(row.get_by_role("link", name="costliest of 2 calls"))
    expect(page.locator("main")).to_contain_text("claude-opus-4-5")
    assert visitor.clicks <= 3


def test_which_tool_call_failed_in_this_run(visitor: Visitor, tab: Watched, contents: Contents) -> None:
    page = tab.open("/runs")
    visitor.click(page.get_by_role("link", name="refund_payment: card_declined"))
    expect(page.locator("#detail h2")).to_have_text("tool · refund_payment")
    expect(page.locator("#detail")).to_contain_text("card_declined")
    assert visitor.clicks == 1
    page = tab.open(f"/r/{contents.run}")
    expect(page.locator("#detail h2")).to_have_text("tool · refund_payment")


def test_which_model_eats_the_budget_this_week(visitor: Visitor) -> None:
    page = visitor.page
    models = page.locator("table", has_text="claude-opus-4-5").last
    expect(models).to_contain_text("$0.2420")
    visitor.click(page.get_by_label("Pages", exact=True).get_by_role("link", name="Cost"))
    first = page.locator("main table.rows tbody tr").first
    expect(first).to_contain_text("claude-opus-4-5")
    expect(first).to_contain_text("$0.2420")
    assert visitor.clicks == 1


def test_what_changed_between_two_versions(visitor: Visitor) -> None:
    page = visitor.page
    visitor.click(page.get_by_label("Pages", exact=True).get_by_role("link", name="Agents"))
    visitor.click(page.locator("table.list").get_by_role("link", name="1.1", exact=True))
    for told in ("1.0", "1.1", "shorter", "too few runs"):
        expect(page.locator("main")).to_contain_text(told)
    assert visitor.clicks == 2


# -- odd records -------------------------------------------------------------------------------------------------------

ODD = {
    "right to left": "مرحبا بالعالم \u202eevil\u202c שלום",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈 🇺🇳 é ﷽ Z̷̢̛a̶l̵g̸o̷",
    "unbroken": "x" * 5_000,
    "very long": "Lorem ipsum dolor sit amet. " * 40_000,
}


def fill_with_oddities(store: Store) -> dict[str, str]:
    """Store odd texts, a model with the longest name, and more calls than fit a page; return where they are."""
    paths = {}
    for name, text in ODD.items():
        session = store.sessions.create(
            NewSession(session_id=f"{name} {text[:20]}", title=text[:1000]), user=text[:60]
        ).id
        store.messages.append(session, [NewMessage(role=MessageRole.USER, content=text)])
        paths[name] = f"/s/{session}"
    session = store.sessions.create(NewSession(session_id="many", title="Many calls")).id
    run = store.runs.start(NewRun(run_id="many", session_uuid=session, objective="Many calls")).id
    model = "m" * 255
    for _ in range(count(4, 40)):
        store.messages.append(
            session, [NewMessage(role=MessageRole.ASSISTANT, content="So many.", run_uuid=run)],
            calls=[NewLLMCall(model=model, run_uuid=run, session_uuid=session, tokens=TokenCounts(input=7, output=1))
                   for _ in range(250)],
        )  # fmt: skip
    for _ in range(count(300, 1_000)):
        store.tool_calls.record(NewToolCall(tool_name="t" * 255, session_uuid=session, run_uuid=run))
    return {**paths, "many calls": f"/r/{run}", "long names": "/cost?since=all"}


def test_odd_records_are_shown_whole_and_fit(browser: Browser, stack: ExitStack, databases: Databases) -> None:
    odd = started(stack, databases)
    paths = fill_with_oddities(odd.store)
    tab = watched(browser, stack, odd)
    for name, path in {**paths, "sessions": "/sessions?since=all", "runs": "/runs", "users": "/users"}.items():
        page = tab.open(path)
        assert page.evaluate("document.getElementsByTagName('*').length") <= 3_000, name
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        if name in ODD:
            assert " ".join(ODD[name].split())[:2_000] in text_of(page), name
        assert tab.complaints == [], name
    page = tab.open(paths["many calls"])
    assert axe_violations(page) == []
    expect(page.locator("main")).to_contain_text(f"{count(1_000, 10_000):,}")


def test_what_another_project_has_is_not_there(browser: Browser, stack: ExitStack, databases: Databases) -> None:
    # On a server of its own: a second project is chosen between on every page, and named in every address.
    site = started(stack, databases)
    fill(site.store)
    other = site.store.scoped(project="another")
    session = other.sessions.create(NewSession(session_id="theirs", title="Not yours"), user="eve@example.org").id
    run = other.runs.start(NewRun(run_id="theirs", objective="Not yours"), user="eve@example.org").id
    tab = watched(browser, stack, site)
    for path in (f"/s/{session}", f"/r/{run}", "/s/theirs", "/r/theirs", "/u/eve@example.org", f"/chat/{session}"):
        answer = tab.page.goto(site.url + path)
        assert answer is not None
        assert answer.status == 404, path
        assert "Not yours" not in text_of(tab.page)
    for path in ("/sessions?since=all", "/runs", "/users", "/search?q=theirs", "/sql?q=SELECT+title+FROM+ar_sessions"):
        assert "Not yours" not in text_of(tab.open(path)), path
        assert "eve@example.org" not in text_of(tab.page), path
