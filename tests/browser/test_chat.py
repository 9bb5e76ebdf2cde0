"""The chat in a real browser, against a real server and record."""

import re
from collections.abc import Callable
from itertools import pairwise
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect
from runners import Failing, Reserving, Speaking, Working
from sites import Open, Serve, Tab
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentrecord.agents.conversation import Limits
from agentrecord.dashboard import formats
from agentrecord.records.budget import BudgetChanges, BudgetPeriod, NewBudget
from agentrecord.records.message import MessageRole
from agentrecord.records.run import RunStatus
from agentrecord.records.session import NewSession
from agentrecord.records.usage import UsageTotals

WORDS = [f"word{number} " for number in range(12)]
PAYLOADS = (
    "<script>document.title='broken in'</script>",
    "<img src='https://evil.example/leak?x=1' onerror=\"document.title='broken in'\">",
    "<svg onload=\"document.title='broken in'\"><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "</div></article><iframe src='https://evil.example/'></iframe>",
    "[x](javascript:alert(1)) ![y](https://evil.example/z.png)",
    "{{ 7 * 7 }} ${7*7} \"><style>@import 'https://evil.example/a.css';</style>",
)


def say(page: Page, text: str) -> None:
    page.locator("#message").fill(text)
    page.locator("#message").press("Enter")


def last_turn(page: Page) -> str:
    return page.locator("#talk .turn").last.inner_text()


def is_idle(page: Page) -> None:
    """Wait until the turn is over and the server's view of it is shown."""
    expect(page.locator("#stop")).to_be_hidden()
    expect(page.locator("#talk .live")).to_have_count(0)


def session_of(page: Page) -> UUID:
    return UUID(page.url.partition("/chat/")[2].partition("#")[0].partition("?")[0])


class Cutting:
    """Cuts the connection of event streams: the n-th of them after `after[n]` pieces; those beyond are whole."""

    def __init__(self, app: ASGIApp, after: list[int]) -> None:
        self.app = app
        self.after = after
        self.cut = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left: int | None = None

        async def cutting(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                kinds = [value for name, value in message["headers"] if name == b"content-type"]
                if any(kind.startswith(b"text/event-stream") for kind in kinds) and self.after:
                    left = self.after.pop(0)
            elif left is not None:
                left -= 1
                if left < 0:
                    self.cut += 1
                    raise ConnectionResetError("cut off by the test")
            await send(message)

        await self.app(scope, receive, cutting)


def test_an_answer_appears_as_it_is_made_and_is_the_records_when_it_is_whole(serve: Serve, open_tab: Open) -> None:
    runner = Speaking(["First the one half, ", "and then the other."], waits_at=1)
    site = serve(runner)
    page = open_tab(site).open("/chat")
    say(page, "Say it\nin two lines")
    expect(page.locator(".live .assistant .text")).to_have_text("First the one half, ")
    expect(page.locator("#stop")).to_be_visible()
    expect(page.locator("#send")).to_be_hidden()
    runner.gate.open()
    is_idle(page)
    assert "First the one half, and then the other." in last_turn(page)
    stored = site.store.messages.list(session_of(page)).items
    assert [(m.role, m.content) for m in stored] == [
        (MessageRole.USER, "Say it\nin two lines"),
        (MessageRole.ASSISTANT, "First the one half, and then the other."),
    ]
    assert page.locator("#title").inner_text() == "Say it in two lines"
    assert page.locator("#chats [aria-current=page] .what").inner_text() == "Say it in two lines"
    run = site.store.runs.list().items[0]
    assert page.locator("#talk .turn").last.get_by_text("waterfall").get_attribute("href") == f"/r/{run.id}"
    page.reload()
    assert "First the one half, and then the other." in last_turn(page)


def test_enter_sends_and_shift_enter_breaks_the_line(serve: Serve, open_tab: Open) -> None:
    site = serve()
    page = open_tab(site).open("/chat")
    box = page.locator("#message")
    expect(box).to_be_focused()
    box.press_sequentially("one")
    box.press("Shift+Enter")
    box.press_sequentially("two")
    box.press("Enter")
    is_idle(page)
    assert "This is a mock response to: one\ntwo" in last_turn(page)
    expect(box).to_be_focused()
    expect(box).to_have_value("")
    box.press("Enter")
    assert page.locator("#talk .turn").count() == 1


@pytest.mark.parametrize("how", ["Escape", "button"])
def test_stop_ends_the_turn_and_keeps_what_was_read(serve: Serve, open_tab: Open, how: str) -> None:
    runner = Speaking(["Half of it", " never said"], waits_at=1)
    site = serve(runner)
    page = open_tab(site).open("/chat")
    say(page, "Go on")
    expect(page.locator(".live .assistant .text")).to_have_text("Half of it")
    if how == "Escape":
        page.keyboard.press("Escape")
    else:
        page.locator("#stop").click()
    is_idle(page)
    said = last_turn(page)
    assert "cancelled" in said
    assert "unfinished answer, not kept" in said
    assert "Half of it" in said
    expect(page.locator("#message")).to_be_focused()
    assert site.store.runs.list().items[0].status is RunStatus.CANCELLED
    runner.waits_at = None
    page.get_by_role("button", name="Try again").click()
    is_idle(page)
    assert "Half of it never said" in last_turn(page)
    assert runner.asked == ["Go on", "Go on"]
    assert page.get_by_role("button", name="Try again").count() == 0


def test_a_failed_turn_says_why_and_can_be_tried_again(serve: Serve, open_tab: Open) -> None:
    runner = Failing(failures=2, error=RuntimeError("the model's host does not answer"))
    site = serve(runner)
    page = open_tab(site).open("/chat")
    say(page, "Do it")
    is_idle(page)
    assert "✕ the model's host does not answer" in last_turn(page)
    assert "I was about to say" in last_turn(page)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#talk .turn")).to_have_count(2)
    is_idle(page)
    page.reload()
    assert "✕ the model's host does not answer" in last_turn(page)
    page.get_by_role("button", name="Try again").click()
    is_idle(page)
    assert "It works now." in last_turn(page)
    statuses = [run.status for run in site.store.runs.list(sort="started_at").items]
    assert statuses == [RunStatus.ERROR, RunStatus.ERROR, RunStatus.COMPLETED]


def test_a_crossed_budget_is_shown_as_the_server_says_it(serve: Serve, open_tab: Open) -> None:
    site = serve(Reserving())
    budget = site.store.budgets.create(NewBudget(name="trial", period=BudgetPeriod.DAY, limit_nanos=1_000))
    page = open_tab(site).open("/chat")
    say(page, "lunch")
    is_idle(page)
    reason = site.store.runs.list().items[0].error_message
    assert reason is not None
    assert "trial" in reason
    assert f"✕ {reason}" in last_turn(page)
    site.store.budgets.update(budget.id, BudgetChanges(limit_nanos=10_000_000_000))
    page.get_by_role("button", name="Try again").click()
    is_idle(page)
    assert "There is money for lunch" in last_turn(page)


def test_an_agent_that_takes_too_long_is_said_to(serve: Serve, open_tab: Open) -> None:
    site = serve(Speaking(["never"], waits_at=0), limits=Limits(turn_s=0.2))
    page = open_tab(site).open("/chat")
    say(page, "Do it")
    is_idle(page)
    assert "no answer within 0.2 s" in last_turn(page)


def test_dropped_connections_lose_and_double_no_word(serve: Serve, open_tab: Open) -> None:
    cutting: list[Cutting] = []

    def wrap(app: ASGIApp) -> ASGIApp:
        # The first stream is cut before its first event with an id, the next ones in the middle of the answer.
        cutting.append(Cutting(app, [0, 4, 1, 3]))
        return cutting[0]

    site = serve(Speaking(WORDS), wrap=wrap)
    tab = open_tab(site)
    tab.may_fail = True
    page = tab.open("/chat")
    page.evaluate(
        """() => { window.seen = []; new MutationObserver(() => {
             const found = document.querySelector(".live .assistant .text");
             if (found) window.seen.push(found.textContent);
           }).observe(document.getElementById("talk"), { subtree: true, childList: true, characterData: true }); }"""
    )
    say(page, "Count")
    is_idle(page)
    assert cutting[0].cut == 4
    whole = "".join(WORDS)
    seen = page.evaluate("window.seen")
    assert len(set(seen)) > 5
    assert all(whole.startswith(text) for text in seen)
    assert seen[-1] == whole
    assert page.locator("#talk .assistant .text").all_inner_texts() == [whole]
    assert len(site.store.runs.list().items) == 1
    assert site.store.messages.list(session_of(page)).total == 2


def test_a_page_that_is_loaded_in_the_middle_follows_the_turn_from_its_first_word(serve: Serve, open_tab: Open) -> None:
    runner = Speaking(["said before, ", "said after"], waits_at=1)
    site = serve(runner)
    page = open_tab(site).open("/chat")
    say(page, "Go")
    expect(page.locator(".live .assistant .text")).to_have_text("said before, ")
    page.reload()
    expect(page.locator("#talk .assistant .text")).to_have_text("said before, ")
    expect(page.locator("#stop")).to_be_visible()
    runner.gate.open()
    expect(page.locator("#stop")).to_be_hidden()
    assert page.locator("#talk .assistant .text").all_inner_texts() == ["said before, said after"]
    assert page.locator("#talk .said.user .text").all_inner_texts() == ["Go"]


def test_tools_and_costs_are_shown_as_they_come(serve: Serve, open_tab: Open) -> None:
    runner = Working()
    site = serve(runner)
    page = open_tab(site).open("/chat")
    say(page, "How warm is it?")
    tools = page.locator("#talk .use")
    expect(tools.nth(0)).to_contain_text("weather")
    expect(tools.nth(0)).to_contain_text("Graz")
    expect(tools.nth(0)).to_contain_text("running")
    priced = site.store.llm_calls.list().items[0]
    assert priced.cost_nanos is not None
    figure = formats.money(priced.cost_nanos)
    expect(page.locator(".live .sum")).to_have_text(figure)
    expect(page.locator("#cost")).to_have_text(figure)
    tools.nth(0).locator("summary").click()
    runner.gate.open()
    expect(tools.nth(0)).to_contain_text("42 degrees")
    expect(tools.nth(0)).to_contain_text("✓")
    expect(tools.nth(1)).to_contain_text("✕")
    expect(tools.nth(1)).to_have_class(re.compile("failed"))
    runner.gate.open()
    expect(page.locator(".live .excluded")).to_have_text(" (excludes 1 call without a price)")
    expect(page.locator("#excluded")).to_have_text(" (excludes 1 call without a price)")
    expect(page.locator("#cost")).to_have_text(figure)
    runner.gate.open()
    is_idle(page)
    expect(page.locator("#cost")).to_have_text(figure)
    assert tools.count() == 2
    assert "42 degrees" in tools.nth(0).inner_text(), "what was unfolded stays so"
    assert "It is warm." in last_turn(page)
    assert figure in page.locator("#talk .turn > header").inner_text()


def test_a_turn_without_any_price_is_said_to_have_no_price(serve: Serve, open_tab: Open) -> None:
    runner = Working(models=["acme-local-70b"])
    site = serve(runner)
    page = open_tab(site).open("/chat")
    say(page, "How warm is it?")
    expect(page.locator(".live .sum")).to_have_text("no price")
    for _ in range(3):
        runner.gate.open()
    is_idle(page)
    expect(page.locator("#cost")).to_have_text("no price")
    assert "$0" not in page.locator("main").inner_text()


def test_the_script_writes_money_as_the_server_does(serve: Serve, open_tab: Open) -> None:
    page = open_tab(serve()).open("/chat")
    source = page.evaluate("fetch('/static/chat.js').then((answer) => answer.text())")
    functions = re.findall(r"^function (?:money|cost)\(.*?^}", source, re.DOTALL | re.MULTILINE)
    assert len(functions) == 2
    # By the debugger's way in, which the page's own policy does not bind.
    debugger = page.context.new_cdp_session(page)
    for nanos, calls, unpriced in (
        (0, 0, 0), (0, 1, 1), (0, 1, 0), (99_999, 1, 0), (100_000, 2, 1), (12_345_678, 1, 0), (1_234_567_890_123, 3, 0),
    ):  # fmt: skip
        called = f"cost({{nanos: {nanos}, calls: {calls}, unpriced: {unpriced}}})"
        shown = debugger.send("Runtime.evaluate", {"expression": "\n".join([*functions, called])})
        expected = formats.cost(UsageTotals(cost_nanos=nanos, calls=calls, unpriced_calls=unpriced))
        assert shown["result"]["value"] == expected


def test_what_people_models_and_tools_write_stays_text(serve: Serve, open_tab: Open) -> None:
    runner = Working()
    page = open_tab(serve(runner)).open("/chat")
    for payload in PAYLOADS:
        runner.result = runner.answer = payload
        say(page, payload)
        for _ in range(3):
            runner.gate.open()
        is_idle(page)
    for _ in range(2):
        for fold in page.locator("#talk details").all():
            fold.evaluate("node => { node.open = true; }")
        texts = page.locator("#talk .said .text").all_inner_texts()
        # A picture of another host is a link to it; everything else stands as it was written.
        written = [payload.replace("![y](https://evil.example/z.png)", "image: y") for payload in PAYLOADS]
        assert texts == [text for payload in written for text in (payload, payload)]
        assert set(PAYLOADS) <= set(page.locator("#talk .use pre").all_inner_texts())
        assert page.locator("main :is(img, iframe, style, script, object), #talk svg").count() == 0
        assert page.title() != "broken in"
        page.reload()
    page.get_by_role("link", name="as written").click()
    texts = page.locator("#talk .said .text").all_inner_texts()
    assert texts == [text for payload in PAYLOADS for text in (payload, payload)]


def test_a_session_that_is_inactive_says_so_and_can_be_activated(serve: Serve, open_tab: Open) -> None:
    site = serve()
    session = site.store.sessions.create(NewSession(session_id="old", title="Old", source="user"))
    tab = open_tab(site)
    tab.may_fail = True
    page = tab.open(f"/chat/{session.id}")
    site.store.sessions.deactivate(session.id)
    say(page, "Are you there?")
    expect(page.locator("#talk .problem")).to_contain_text("inactive")
    page.get_by_role("button", name="Activate it").click()
    page.wait_for_url("**#say")
    expect(page.locator("#message")).to_have_value("Are you there?")
    page.locator("#send").click()
    is_idle(page)
    assert "This is a mock response to: Are you there?" in last_turn(page)


def test_a_busy_session_is_said_to_be_busy_where_requests_do_not_wait(serve: Serve, open_tab: Open) -> None:
    runner = Speaking(["one", "two"], waits_at=1)
    site = serve(runner, limits=Limits(waits=False))
    first = open_tab(site).open("/chat")
    runner.gate.open()
    say(first, "Go")
    is_idle(first)
    tab = open_tab(site)
    tab.may_fail = True
    second = tab.open(f"/chat/{session_of(first)}")
    say(first, "Go on")
    expect(first.locator(".live .assistant .text")).to_have_text("one")
    say(second, "Me too")
    problem = second.locator("#talk .problem")
    expect(problem).to_contain_text("wait for it, or cancel that turn")
    expect(problem).to_contain_text("409")
    runner.gate.open()
    is_idle(first)
    runner.gate.open()
    second.get_by_role("button", name="Try again").click()
    expect(problem).to_have_count(0)
    is_idle(second)
    said = second.locator("#talk .said .text").all_inner_texts()
    assert said == ["Go", "onetwo", "Go on", "onetwo", "Me too", "onetwo"]


def test_a_server_that_is_gone_is_said_to_be_and_asked_again_for_the_same_turn(serve: Serve, open_tab: Open) -> None:
    site = serve()
    tab = open_tab(site)
    tab.may_fail = True
    page = tab.open("/chat")
    page.clock.install()
    page.route("**/api/agent-sessions/conversation", lambda route: route.abort())
    say(page, "Are you there?")
    expect(page.locator(".live .status")).to_contain_text("connection lost")
    problem = page.locator("#talk .problem")
    for _ in range(20):
        if problem.count():
            break
        page.clock.run_for(3000)
    expect(problem).to_contain_text("The server cannot be reached")
    page.unroute("**/api/agent-sessions/conversation")
    page.get_by_role("button", name="Try again").click()
    is_idle(page)
    assert "This is a mock response to: Are you there?" in last_turn(page)
    assert site.store.runs.list().total == 1


def test_a_message_that_waits_for_another_turn_can_be_taken_back(serve: Serve, open_tab: Open) -> None:
    runner = Speaking(["one", "two"], waits_at=1)
    site = serve(runner)
    first = open_tab(site).open("/chat")
    runner.gate.open()
    say(first, "Go")
    is_idle(first)
    second = open_tab(site).open(f"/chat/{session_of(first)}")
    say(first, "Go on")
    expect(first.locator(".live .assistant .text")).to_have_text("one")
    say(second, "Me too")
    expect(second.locator("#stop")).to_be_visible()
    second.keyboard.press("Escape")
    expect(second.locator("#message")).to_have_value("Me too")
    runner.gate.open()
    is_idle(first)
    stored = site.store.messages.list(session_of(first)).items
    assert [message.content for message in stored] == ["Go", "onetwo", "Go on", "onetwo"]


def test_renaming_and_deleting_need_no_script_of_ours(serve: Serve, open_tab: Open) -> None:
    site = serve()
    page = open_tab(site).open("/chat")
    page.get_by_role("button", name="What can you do?").click()
    is_idle(page)
    assert "This is a mock response to: What can you do?" in last_turn(page)
    page.get_by_text("Manage").click()
    page.locator("#rename").fill("A better name")
    page.get_by_role("button", name="Rename").click()
    expect(page.locator("#title")).to_have_text("A better name")
    page.get_by_text("Manage").click()
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete for good").click()
    page.wait_for_url("**/chat")
    assert page.locator("#chats li").count() == 0


def test_the_agents_name_and_instructions_go_with_the_first_message(serve: Serve, open_tab: Open) -> None:
    site = serve()
    page = open_tab(site).open("/chat")
    page.get_by_text("Agent and instructions").click()
    page.locator("#agent").fill("Planner")
    page.locator("#instructions").fill("Be brief.")
    say(page, "Hello")
    is_idle(page)
    session = site.store.sessions.get(session_of(page))
    assert (session.agent_name, session.agent_instructions) == ("Planner", "Be brief.")


def test_without_scripts_the_chat_is_read_and_continued_all_the_same(serve: Serve, open_tab: Open) -> None:
    site = serve()
    page = open_tab(site, java_script_enabled=False).open("/chat")
    page.locator("#message").fill("one\ntwo")
    page.locator("#send").click()
    page.wait_for_url("**/chat/*#say")
    page.locator("#message").fill("three")
    page.locator("#send").click()
    expect(page.locator("#talk .turn")).to_have_count(2)
    texts = page.locator("#talk .said .text").all_inner_texts()
    answer = "This is a mock response to: "
    assert texts == ["one\ntwo", f"{answer}one\ntwo", "three", f"{answer}three"]


def _fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_nothing_is_cut_off_on_a_phone_or_at_twice_the_size(serve: Serve, open_tab: Open) -> None:
    runner = Working(result="x" * 500, answer="https://example.org/" + "y" * 500)
    site = serve(runner)
    tab = open_tab(site, viewport={"width": 390, "height": 844})
    page = tab.open("/chat")
    _fits(page)
    say(page, "z" * 300)
    expect(page.locator("#talk .use").first).to_be_visible()
    _fits(page)
    for _ in range(3):
        runner.gate.open()
    is_idle(page)
    for fold in page.locator("details").all():
        fold.evaluate("node => { node.open = true; }")
    _fits(page)
    page.set_viewport_size({"width": 640, "height": 400})
    _fits(page)


def _announced(tab: Tab) -> Callable[[], list[tuple[float, str]]]:
    tab.page.evaluate(
        """() => { window.told = []; const node = document.getElementById("told");
             new MutationObserver(() => window.told.push([performance.now(), node.textContent]))
               .observe(node, { childList: true, characterData: true, subtree: true }); }"""
    )
    return lambda: [(at, text) for at, text in tab.page.evaluate("window.told")]


def test_screen_readers_are_told_all_of_it_and_not_more_than_once_a_second(serve: Serve, open_tab: Open) -> None:
    site = serve(Speaking(WORDS * 3))
    tab = open_tab(site)
    page = tab.open("/chat")
    region = page.locator("#told")
    assert (region.get_attribute("role"), region.get_attribute("aria-live")) == ("status", "polite")
    told = _announced(tab)
    say(page, "Count")
    is_idle(page)
    expect(region).to_contain_text("Answered")
    found = told()
    assert "".join(text for _, text in found).startswith("".join(WORDS * 3))
    times = [at for at, _ in found]
    assert all(later - earlier > 900 for earlier, later in pairwise(times))
    assert page.locator("#talk [aria-live]").count() == 0


def test_the_order_of_the_page_is_list_conversation_message(serve: Serve, open_tab: Open) -> None:
    site = serve()
    page = open_tab(site).open("/chat")
    say(page, "Hello")
    is_idle(page)
    order = page.evaluate(
        """() => [...document.querySelectorAll("#chats, #title, #talk, #message, #send")].map((node) => node.id)"""
    )
    assert order == ["chats", "title", "talk", "message", "send"]
    page.keyboard.press("Tab")
    expect(page.locator("#send")).to_be_focused()
    assert page.locator("h1").count() == 1
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_url("**/chat")


def test_the_pages_scripts_are_small(serve: Serve, open_tab: Open) -> None:
    import gzip

    page = open_tab(serve()).open("/chat")
    sizes = [
        len(gzip.compress(page.evaluate("(path) => fetch(path).then((a) => a.text())", path).encode()))
        for path in page.evaluate("[...document.scripts].map((script) => script.src)")
    ]
    assert len(sizes) == 2
    assert sum(sizes) < 30_000
