"""Search: the same words find the same messages on every engine."""

import unicodedata
from uuid import UUID

import pytest

from agentrecord.exceptions import InvalidFilter, InvalidValue
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.session import CodingDetails, NewSession
from faces import Facing, covers

TEXTS = {
    "plain": "the quick brown fox jumps over the lazy dog",
    "path": "see src/agentrecord/store/search.py:42 and https://example.org/a-b?c=d",
    "umlaut": "Äpfel und Birnen in STRASSBURG, naïve",
    "code": "def foo_bar(x): return x-1 # it's e-mail@example.org",
    "markup": "<b>bold</b> &amp; <script>alert('x')</script>",
    "cjk": "русский текст",
    "brown": "brown is quick, said the fox",
}


@pytest.fixture
def filled(store: Facing) -> Facing:
    """Return a store that holds `TEXTS`, each under its own name."""
    for name, text in TEXTS.items():
        session = store.sessions.create(NewSession(session_id=name, title=f"T {name}")).id
        store.messages.append(session, [NewMessage(role=MessageRole.USER, content=text)])
    return store


def found(store: Facing, query: str) -> set[str]:
    """Return the sessions that a query finds."""
    return {hit.session_id for hit in store.messages.search(query)}


QUERIES = (
    ("fox", {"plain", "brown"}), ("quick fox", {"plain", "brown"}), ('"quick brown"', {"plain"}),
    ('"brown quick"', set()), ("jum*", {"plain"}), ("jum", set()), ("FOX Brown", {"plain", "brown"}),
    ("äpfel", {"umlaut"}), ("ÄPFEL strassburg", {"umlaut"}), ("apfel", set()), ("agentrecord", {"path"}),
    ("search.py", {"path"}), ("store/search", {"path"}), ("example", {"path", "code"}), ("foo", {"code"}),
    ("foo_bar", {"code"}), ("mail", {"code"}), ("script", {"markup"}), ("alert", {"markup"}), ("amp", {"markup"}),
    ("текст", {"cjk"}), ("ТЕКСТ", {"cjk"}), ("рус*", {"cjk"}), ("the dog*", {"plain"}), ("42", {"path"}),
    ('fox AND NOT OR " * ( :', set()), ("fox' | !dog", {"plain"}), ("nosuchword", set()),
)  # fmt: skip


@covers("messages.search")
def test_words_phrases_and_beginnings_find_what_holds_them(filled: Facing) -> None:
    answers = {query: found(filled, query) for query, _ in QUERIES}
    assert answers == dict(QUERIES)


WRITTEN = {
    "composed": "Caf\u00e9 \u00c9clair",
    "decomposed": "Cafe\u0301 E\u0301clair",
    "mark": "x\u0302yz",
    "dotted": "\u0130zmir",
    "private": "\ue123sigil",
    "hindi": "\u0939\u093f\u0928\u094d\u0926\u0940",
    "wide": "\uff21\uff22",
}
"""Letters of more than one code point, and code points that databases take for letters or not."""


def test_a_text_is_found_by_its_own_words_however_its_letters_are_written(store: Facing) -> None:
    for name, text in WRITTEN.items():
        session = store.sessions.create(NewSession(session_id=name)).id
        store.messages.append(session, [NewMessage(role=MessageRole.USER, content=text)])
    for name, text in WRITTEN.items():
        for asked in (text, text.upper(), text.lower(), unicodedata.normalize("NFD", text)):
            alike = {"composed", "decomposed"} & {name} and {"composed", "decomposed"}
            assert found(store, asked) == (alike or {name}), (name, ascii(asked))
    assert found(store, "cafe") == set()
    assert found(store, "caf\u00e9*") == {"composed", "decomposed"}
    session = store.sessions.get("decomposed").id
    (message,) = store.messages.list(session).items
    (hit,) = store.messages.search("e\u0301clair", session=session)
    assert [unicodedata.normalize("NFC", word) for word in hit.excerpt[1::2]] == ["\u00c9clair"]
    store.messages.edit(message.id, "Cre\u0300me")
    assert found(store, "caf\u00e9") == {"composed"}
    assert found(store, "cr\u00e8me") == {"decomposed"}
    store.messages.delete(message.id)
    assert found(store, "cr\u00e8me") == set()


def test_what_cannot_be_searched_for_is_refused(filled: Facing) -> None:
    for empty in ("", "  ", "***", '""', "-- ()"):
        with pytest.raises(InvalidFilter):
            filled.messages.search(empty)
    for unstorable in ("a\0b", "a\ud800"):
        with pytest.raises(InvalidValue) as refused:
            filled.messages.search(unstorable)
        assert refused.value.field == "query"


def test_an_excerpt_marks_what_matched(filled: Facing) -> None:
    (hit,) = filled.messages.search('"brown fox"')
    assert "".join(hit.excerpt) in TEXTS["plain"]
    assert " ".join(hit.excerpt[1::2]) == "brown fox"
    assert (hit.session_id, hit.session_title, hit.sequence, hit.role) == ("plain", "T plain", 1, MessageRole.USER)


def test_a_hit_of_a_coding_session_is_called_by_the_task_that_it_began_with(store: Facing) -> None:
    coding = CodingDetails(tool_name="coder", initial_task="Mend the gearbox")
    session = store.sessions.create(NewSession(session_id="c-1", coding=coding)).id
    store.messages.append(session, [NewMessage(role=MessageRole.USER, content="it grinds")])
    (hit,) = store.messages.search("grinds")
    assert (hit.session_id, hit.session_title) == ("c-1", "Mend the gearbox")


def test_an_edit_moves_a_message_and_a_delete_removes_it(filled: Facing) -> None:
    (hit,) = filled.messages.search("lazy")
    filled.messages.edit(hit.message_uuid, "energetic now")
    assert found(filled, "lazy") == set()
    assert found(filled, "energetic") == {"plain"}
    filled.messages.delete(hit.message_uuid)
    assert found(filled, "energetic") == set()
    filled.sessions.delete("brown")
    assert found(filled, "fox") == set()
    assert filled.rows_in("ar_search") == len(TEXTS) - 2


def test_a_search_is_narrowed_and_paged(filled: Facing) -> None:
    session: UUID = filled.session_uuid("plain")
    words = [NewMessage(role=MessageRole.ASSISTANT, content=f"needle {n}") for n in range(5)]
    filled.messages.append(session, words)
    since = filled.messages.recent(session, limit=2)[0].created_at
    assert len(filled.messages.search("needle", role=MessageRole.USER)) == 0
    assert len(filled.messages.search("needle", session=filled.session_uuid("brown"))) == 0
    assert len(filled.messages.search("needle", session=session, since=since)) == 5
    seen: list[int] = []
    offset = 0
    while True:
        page = filled.messages.search("needle", limit=2, offset=offset)
        seen += [hit.sequence for hit in page]
        if page.next_cursor is None:
            break
        offset = int(page.next_cursor)
    assert sorted(seen) == [2, 3, 4, 5, 6]


@covers("messages.search")
@pytest.mark.parametrize("before", ["\U0001f916 ", "\ue0b0 main ", "\u30cf\u309a \u0648\u0654 ", "e\u0301 "])
def test_an_excerpt_marks_what_matched_whatever_signs_and_letters_stand_before_it(store: Facing, before: str) -> None:
    session = store.sessions.create(NewSession(session_id="signs"), user="ana").id
    told = f"{before}\u00e9 some heron, flew over" + " and over" * 40 + " the pond"
    store.messages.append(session, [NewMessage(role=MessageRole.USER, content=told)])
    for query, marked in (("HERON", ["heron"]), ('"some heron" fl*', ["some heron", "flew"]), ("pond", ["pond"])):
        (hit,) = store.messages.search(query)
        assert " ".join(hit.excerpt[1::2]) == " ".join(marked)
        assert "".join(hit.excerpt).strip("\u2026") in unicodedata.normalize("NFC", told)


@covers("messages.search")
def test_an_excerpt_marks_words_in_paths_addresses_and_markup(filled: Facing) -> None:
    queries = {"agentrecord": "path", "search.py": "path", "store/search": "path", "example": "path", "bold": "markup",
               "mail@example": "code", "bar": "code"}  # fmt: skip
    for query, name in queries.items():
        hit = next(hit for hit in filled.messages.search(query) if hit.session_id == name)
        assert ("".join(hit.excerpt), hit.excerpt[1::2]) == (TEXTS[name], (query,)), query


@covers("messages.search")
def test_a_letter_that_is_written_otherwise_at_the_end_of_a_word_is_found_within_it(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="greek")).id
    store.messages.append(
        session, [NewMessage(role=MessageRole.USER, content="\u039f\u0394\u039f\u03a3 \u03c0\u03cc\u03bb\u03b7\u03c2")]
    )
    for query in ("\u03bf\u03b4\u03bf\u03c2", "\u03bf\u03b4\u03bf\u03c3*", "\u03a0\u038c\u039b\u0397\u03a3"):
        assert [len(hit.excerpt) for hit in store.messages.search(query)] == [3], query
