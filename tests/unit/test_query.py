"""The filter language: any text is a query or is refused with a reason, and a query is written as it was read."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrecord.engine.moments import to_micros
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.measures import Bounds, WordKind, bounds_of
from agentrecord.records.query import MAX_CHARS, Query, Term, Value, Word, joined, parse, plain, written


def word(name: str, kind: WordKind, *choices: str) -> Word:
    return Word(name=name, kind=kind, help="", example="", choices=choices)


KNOWN = {
    found.name: found
    for found in (
        word("status", WordKind.CHOICE, "error", "running"),
        word("user", WordKind.TEXT),
        word("cost", WordKind.MONEY),
        word("tokens", WordKind.COUNT),
        word("duration", WordKind.DURATION),
        word("started", WordKind.MOMENT),
    )
}
TYPED = st.text(alphabet=st.sampled_from('abk*-:,".<>= \\\tstatus:user:cost:"1é😀'), max_size=40) | st.text(max_size=40)


def read(text: str) -> Query | InvalidFilter:
    try:
        return parse(text, KNOWN)
    except InvalidFilter as refused:
        return refused


@given(TYPED)
def test_any_text_is_a_query_that_reads_back_as_it_is_written_or_is_refused_with_a_reason(text: str) -> None:
    found = read(text)
    if isinstance(found, InvalidFilter):
        assert found.field
        assert found.reason
    else:
        assert parse(str(found), KNOWN) == found
        assert str(parse(str(found), KNOWN)) == str(found)


@given(st.text(max_size=40).filter(lambda text: "\0" not in text and text.isprintable()))
def test_any_value_can_be_written_so_that_it_means_just_itself(text: str) -> None:
    found = Query().adding("user", text)
    (term,) = parse(str(found), KNOWN).terms
    assert [value.text for value in term.values] == [text]
    assert term.values[0].is_quoted or "*" not in text
    assert parse(plain(text) or "", KNOWN).terms == (Term(word=None, values=(Value(text=text, is_quoted=True),)),)


def test_a_query_is_terms_of_words_and_of_free_text() -> None:
    found = parse('Status:error,running -user:"bob ,\\" x" word "two words" -no -"not so" a,b', KNOWN)
    assert [(t.word, [v.text for v in t.values], t.is_negated) for t in found.terms] == [
        ("status", ["error", "running"], False),
        ("user", ['bob ," x'], True),
        (None, ["word"], False),
        (None, ["two words"], False),
        (None, ["no"], True),
        (None, ["not so"], True),
        (None, ["a,b"], False),
    ]
    assert parse(" \t ", KNOWN).terms == ()
    assert str(parse("- 12:30 a", KNOWN)) == "- 12:30 a"


def test_a_term_is_taken_out_and_added_once() -> None:
    found = parse("user:bob word", KNOWN)
    assert str(found.without(0)) == "word"
    assert str(found.adding("status", "error")) == "user:bob word status:error"
    assert found.adding("user", "bob") == found
    assert str(written("a*")) == '"a*"'


@pytest.mark.parametrize(
    ("kind", "text", "low", "high"),
    [
        (WordKind.MONEY, ">0.05", 50_000_001, None),
        (WordKind.MONEY, ">=$0.05", 50_000_000, None),
        (WordKind.MONEY, "..1", None, 10**9),
        (WordKind.COUNT, "10k", 10_000, 10_000),
        (WordKind.COUNT, "<1.5M", None, 1_499_999),
        (WordKind.COUNT, "<1.5", None, 1),
        (WordKind.COUNT, ">1.5", 2, None),
        (WordKind.COUNT, "1..5", 1, 5),
        (WordKind.DURATION, "<=2m", None, 120_000_000),
        (WordKind.DURATION, ">500ms", 500_001, None),
        (WordKind.DURATION, "1h..1d", 3_600_000_000, 86_400_000_000),
    ],
)
def test_numbers_are_compared_in_the_smallest_unit(
    kind: WordKind, text: str, low: int | None, high: int | None
) -> None:
    assert bounds_of("x", kind, text) == Bounds(low, high)


def test_a_date_is_its_whole_day() -> None:
    day = to_micros(datetime(2026, 1, 31, tzinfo=UTC))
    last = day + 86_400_000_000 - 1
    assert bounds_of("started", WordKind.MOMENT, "2026-01-31") == Bounds(day, last)
    assert bounds_of("started", WordKind.MOMENT, ">2026-01-31") == Bounds(last + 1, None)
    assert bounds_of("started", WordKind.MOMENT, "<=2026-01-31") == Bounds(None, last)
    assert bounds_of("started", WordKind.MOMENT, "2026-01-30T00:00..2026-01-31T01:00+01:00").high == day


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("statsu:error", "statsu", 'there are status, user, cost, tokens, duration, started. To look for the text: "'),
        ("status:eror", "status", "use error, running"),
        ("cost:much", "cost", "write dollars as in 0.05"),
        ("tokens:>10q", "tokens", "write 200, 10k or 1.5M"),
        ("duration:>2", "duration", "write 500ms, 2.5s, 2m, 1h or 3d"),
        ("started:yesterday", "started", "write 2026-01-31"),
        ("tokens:5..1", "tokens", "ends before it begins"),
        ("tokens:..", "tokens", "write 1..5, 1.. or ..5"),
        ("tokens:99999999999B", "tokens", "is more than"),
        ("user:", "user", "write user:VALUE"),
        ("user:a,", "user", "write user:VALUE"),
        ('user:"a', "user", "has a quote that does not end"),
        ('user:a"b', "q", "in quotes"),
        ('"a"b', "q", "a space must stand there"),
        ("user:,a", "q", "a value must stand there"),
        ("a\0b", "q", "leave it out"),
        ("x" * (MAX_CHARS + 1), "q", "use at most 2,000"),
        ("x " * 51, "q", "use at most 50"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_field_and_the_mend(text: str, field: str, says: str) -> None:
    with pytest.raises(InvalidFilter) as refused:
        parse(text, KNOWN)
    assert refused.value.field == field
    assert says in refused.value.reason


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        (["flaky", "two words", "status:error"], 'flaky "two words" status:error'),
        (["user:Ana Lee", 'user:"a b"'], 'user:"Ana Lee" user:"a b"'),
        (["status:error user:bob", ""], "status:error user:bob"),
        ([], None),
    ],
)
def test_what_a_shell_was_given_in_quotes_is_one_value(arguments: list[str], query: str | None) -> None:
    assert joined(arguments) == query
