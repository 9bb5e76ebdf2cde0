"""The chat page in process: what it shows, what its forms do, and to whom it is closed."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from uuid import uuid4

import pytest
from page_fixtures import HOME, NASTY, SECRET, TOKEN, FixedClock, call, signed_in
from starlette.testclient import TestClient

from agentrecord.agents.echo import EchoRunner
from agentrecord.agents.runner import AgentRunner, AgentTurn, Reply, TurnRecorder
from agentrecord.dashboard.assets import asset
from agentrecord.dashboard.chat import ROWS
from agentrecord.dashboard.conversation import STRETCH
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.records.turn import NewTurn
from agentrecord.server.app import build_app
from agentrecord.store import AsyncStore, Store

SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
ANSWER = "This is a mock response to: "


@dataclass(frozen=True)
class Chat:
    """A signed-in browser, and the record behind the page."""

    client: TestClient
    store: Store

    def post(self, path: str, **form: str) -> str:
        """Send a form, and return where its answer leads."""
        answer = self.client.post(path, data=form, headers=SAME_ORIGIN)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def read(self, path: str) -> str:
        """Return a page's HTML."""
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text[:500]
        return answer.text


@contextmanager
def chatting(runner: AgentRunner | None = None) -> Iterator[Chat]:
    store = AsyncStore("memory:", clock=FixedClock())
    app = build_app(store, secret=SECRET, sign_in_token=TOKEN, runner=runner or EchoRunner())
    with TestClient(app, base_url=HOME, follow_redirects=False) as client:
        yield Chat(signed_in(client), Store(engine=store.engine))
    store.close()


@pytest.fixture
def chat() -> Iterator[Chat]:
    with chatting() as found:
        yield found


class Breaking:
    """Uses a tool, and breaks."""

    name = "breaking"

    async def run(self, turn: AgentTurn, recorder: TurnRecorder) -> Reply:
        await recorder.tool_started("lookup", call_ref="c-1", arguments='{"word": "tree"}')
        await recorder.tool_finished("c-1", result="found it")
        raise RuntimeError("the host went away")


class _Attributes(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.update(name for name, _ in attrs)


def _attributes(page: str) -> set[str]:
    found = _Attributes()
    found.feed(page)
    found.close()
    return found.names


def texts(page: str, kind: str) -> Sequence[str]:
    shown = page.partition("<template")[0]
    return re.findall(rf'<article class="said {kind}".*?<div class="text[^>]*>(.*?)</div>', shown, re.DOTALL)


def test_an_empty_record_says_what_this_is_and_offers_a_beginning(chat: Chat) -> None:
    page = chat.read("/chat")
    assert "Every message, tool call, token and dollar of it goes into the record." in page
    assert "Answered by <strong>echo</strong>" in page
    assert len(re.findall(r'<button class="suggestion" name="message"', page)) == 3
    assert "$0" not in page


def test_a_form_without_scripts_begins_a_conversation_and_goes_on_with_it(chat: Chat) -> None:
    place = chat.post("/chat", message="Hello,\r\nwho are you?", agent_name="Planner", agent_instructions="Be brief.")
    session = chat.store.sessions.list().items[0]
    assert place == f"/chat/{session.id}#say"
    assert (session.title, session.agent_name, session.agent_instructions, session.source) == (
        "Hello, who are you?", "Planner", "Be brief.", "user",
    )  # fmt: skip
    assert chat.post(f"/chat/{session.id}", message="And now?") == place
    page = chat.read(place)
    assert texts(page, "user") == ["Hello,\nwho are you?", "And now?"]
    assert texts(page, "assistant") == [f"{ANSWER}Hello,\nwho are you?", f"{ANSWER}And now?"]


def test_the_same_form_sent_twice_is_one_turn(chat: Chat) -> None:
    key = uuid4().hex
    assert chat.post("/chat", message="Once", key=key) == chat.post("/chat", message="Once", key=key)
    assert chat.store.runs.list().total == 1
    answer = chat.client.post("/chat", data={"message": "Other words", "key": key}, headers=SAME_ORIGIN)
    assert answer.status_code == 409


def test_every_page_gives_its_forms_a_key_of_their_own(chat: Chat) -> None:
    keys = [re.findall(r'name="key" value="([^"]+)"', chat.read("/chat")) for _ in range(2)]
    assert keys[0]
    assert set(keys[0]).isdisjoint(keys[1])


def test_a_form_from_another_site_is_refused(chat: Chat) -> None:
    session = chat.store.sessions.create(NewSession(session_id="s", source="user"))
    for headers in ({}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        for path, form in (("/chat", {"message": "hi"}), (f"/chat/{session.id}", {"do": "delete"})):
            assert chat.client.post(path, data=form, headers=headers).status_code == 403
    assert chat.store.sessions.list().total == 1
    assert chat.store.runs.list().total == 0


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"message": ""}, "message"),
        ({"message": " \n "}, "message"),
        ({"message": "hi", "admin": "yes"}, "admin"),
        ({"message": "a\x00b"}, "content"),
        ({"message": "hi", "agent_name": "x" * 256}, "agent_name"),
        ({"message": "hi", "key": "x" * 256}, "key"),
    ],
)
def test_a_form_that_cannot_be_taken_names_its_field_and_leaves_nothing(
    chat: Chat, form: dict[str, str], field: str
) -> None:
    answer = chat.client.post("/chat", data=form, headers=SAME_ORIGIN)
    assert answer.status_code == 422
    assert f"<code>{field}</code>" in answer.text
    assert chat.store.sessions.list().total == 0


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"message": "hi"}', "application/json", 415),
        (b"message=%FF", "application/x-www-form-urlencoded", 400),
        ("message=ä".encode(), "application/x-www-form-urlencoded", 400),
        (b"&".join([b"message=x"] * 100), "application/x-www-form-urlencoded", 400),
        (b"message=x&message=y", "application/x-www-form-urlencoded", 422),
    ],
)
def test_a_body_that_is_no_form_is_refused(chat: Chat, content: bytes, kind: str, status: int) -> None:
    answer = chat.client.post("/chat", content=content, headers={**SAME_ORIGIN, "content-type": kind})
    assert answer.status_code == status
    assert chat.store.sessions.list().total == 0


def test_a_conversation_is_renamed_closed_opened_and_deleted(chat: Chat) -> None:
    place = chat.post("/chat", message="Hello").partition("#")[0]
    assert chat.post(place, do="rename", title=" A name ") == f"{place}#say"
    assert '<h1 id="title">A name' in chat.read(place)
    chat.post(place, do="rename", title="")
    assert chat.store.sessions.list().items[0].title is None
    chat.post(place, do="deactivate")
    page = chat.read(place)
    assert "This session is inactive" in page
    assert 'id="message"' not in page
    assert chat.client.post(place, data={"message": "still?"}, headers=SAME_ORIGIN).status_code == 409
    chat.post(place, do="activate")
    assert 'id="message"' in chat.read(place)
    answer = chat.client.post(place, data={"do": "burn"}, headers=SAME_ORIGIN)
    assert (answer.status_code, "send, rename, activate, deactivate, delete" in answer.text) == (422, True)
    assert chat.post(place, do="delete") == "/chat"
    assert chat.client.get(place).status_code == 404
    assert chat.client.post(place, data={"message": "hi"}, headers=SAME_ORIGIN).status_code == 404


def test_a_turn_that_failed_leads_to_the_page_that_says_why_with_its_tools_and_a_way_to_try_again() -> None:
    with chatting(Breaking()) as chat:
        place = chat.post("/chat", message=f"Look {NASTY}")
        page = chat.read(place)
        assert "✕ the host went away" in page
        assert "found it" in page
        assert "<strong>lookup</strong>" in page
        assert NASTY not in page
        again = re.search(r'<form class="retry".*?name="message" value="([^"]*)"', page, re.DOTALL)
        assert again is not None
        assert again[1].startswith("Look &lt;script&gt;")
        assert "found it" in chat.read(place.replace("/chat/", "/s/").partition("#")[0])


def test_a_finished_conversation_has_nothing_to_try_again(chat: Chat) -> None:
    assert 'class="retry" method="post"' not in chat.read(chat.post("/chat", message="Hello"))


def test_a_turn_that_is_being_answered_is_named_for_those_who_follow_it(chat: Chat) -> None:
    begun = chat.store.turns.begin(
        NewTurn(
            session_id="s", messages=(NewMessage(role=MessageRole.USER, content="Hello"),), lease_owner="other:1:x",
            lease_s=60, request_hash="x",
        )
    )  # fmt: skip
    page = chat.read("/chat/s")
    assert f'data-turn="{begun.turn.id}"' in page
    assert f'data-session="{begun.session.id}"' in page
    assert "This turn is being answered." in page


def test_the_list_is_searched_and_paged_and_leaves_out_what_was_imported(chat: Chat) -> None:
    for number in range(ROWS + 2):
        chat.store.sessions.create(NewSession(session_id=f"c-{number}", title=f"Talk {number}", source="user"))
    chat.store.sessions.create(NewSession(session_id="i", title="Imported", source="claude-code"))
    first = chat.read("/chat")
    assert len(re.findall(r'<li><a href="/chat/', first)) == ROWS
    more = re.search(r'<a rel="next" href="([^"]+)">more', first)
    assert more is not None
    rest = chat.read("/chat" + more[1].replace("&amp;", "&"))
    assert len(re.findall(r'<li><a href="/chat/', rest)) == 2
    assert "Imported" not in first + rest
    assert "Imported" in chat.read("/chat?show=all&q=import")
    found = chat.read("/chat?q=talk 17")
    assert re.findall(r'<span class="what">(.*?)</span>', found) == ["Talk 17"]
    assert "No conversation matches" in chat.read("/chat?q=nothing like it")
    assert chat.client.get("/chat?show=some").status_code == 422
    assert chat.client.get("/chat?sort=x").status_code == 422


def test_a_long_conversation_shows_its_end_first_and_leads_back(chat: Chat) -> None:
    session = chat.store.sessions.create(NewSession(session_id="long", source="user"))
    chat.store.messages.append(
        session.id,
        [NewMessage(role=MessageRole.USER, content=f"message {number}.") for number in range(1, STRETCH + 31)],
    )
    page = chat.read("/chat/long")
    assert "message 31." in page
    assert f"message {STRETCH + 30}." in page
    assert "message 30." not in page
    earlier = chat.read("/chat/long?from=1")
    assert "message 1." in earlier
    assert f'<a rel="next" href="/chat/{session.id}">' in earlier


def test_the_cost_of_a_conversation_leaves_out_what_has_no_price_and_says_so(chat: Chat) -> None:
    session = chat.store.sessions.create(NewSession(session_id="s", source="user"))
    now = chat.store.engine.maker.clock.now()
    chat.store.llm_calls.record(call(None, "acme-local-70b", 10, 10, at=now, session=session.id))
    assert re.search(r'<strong id="cost"[^>]*>no price</strong>', chat.read("/chat/s"))
    chat.store.llm_calls.record(call(None, "claude-opus-4-5", 10, 10, at=now, session=session.id))
    page = chat.read("/chat/s")
    assert re.search(r'<strong id="cost"[^>]*>\$0\.\d{4}</strong>', page)
    assert "(excludes 1 call without a price)" in page


def test_another_users_conversation_is_not_there(chat: Chat) -> None:
    theirs = chat.store.sessions.create(NewSession(session_id="theirs", title="Secret plan", source="user"), user="bob")
    mine = chat.store.sessions.create(NewSession(session_id="mine", title="Mine", source="user"), user="ana")
    key = chat.store.scoped(user="ana").keys.create("ana", role=Role.WRITE).secret
    as_ana = {"authorization": f"Bearer {key}"}
    chat.client.cookies.clear()
    assert chat.client.post(f"/chat/{mine.id}", data={"message": "Hello"}, headers=as_ana).status_code == 303
    page = chat.client.get("/chat?show=all", headers=as_ana).text
    assert "Mine" in page
    assert "Secret plan" not in page
    for name in (str(theirs.id), "theirs"):
        assert chat.client.get(f"/chat/{name}", headers=as_ana).status_code == 404
        for form in ({"message": "hi"}, {"do": "rename", "title": "x"}, {"do": "delete"}, {"do": "activate"}):
            assert chat.client.post(f"/chat/{name}", data=form, headers=as_ana).status_code == 404
    assert chat.store.sessions.get(theirs.id).title == "Secret plan"
    assert chat.store.sessions.get(theirs.id).message_count == 0


def test_a_key_that_may_only_read_can_read_and_not_say_anything(chat: Chat) -> None:
    place = chat.post("/chat", message="Hello").partition("#")[0]
    key = chat.store.keys.create("reader", role=Role.READ).secret
    chat.client.cookies.clear()
    headers = {"authorization": f"Bearer {key}"}
    assert chat.client.get(place, headers=headers).status_code == 200
    assert chat.client.post(place, data={"message": "hi"}, headers=headers).status_code == 403


def test_the_page_has_no_inline_script_or_style_and_asks_nobody_else(chat: Chat) -> None:
    place = chat.post("/chat", message=NASTY)
    for path in ("/chat", place):
        page = chat.read(path)
        assert NASTY not in page
        assert not [name for name in _attributes(page) if name == "style" or name.startswith("on")]
        assert re.findall(r"<script[^>]*>", page) == [
            f'<script src="{asset(name)}" type="module">' for name in ("page.js", "chat.js")
        ]
        for address in re.findall(r'<(?:link|script|img|iframe|form)[^>]+(?:href|src|action)="([^"]*)"', page):
            assert address.startswith("/")


def test_chat_comes_after_the_overview_and_has_a_key(chat: Chat) -> None:
    page = chat.read("/chat")
    assert re.findall(r'<li><a href="(/[a-z]*)"', page)[:3] == ["/", "/chat", "/sessions"]
    assert '<a href="/chat" aria-current="page">Chat</a>' in page
    assert "<kbd>h</kbd>" in page
