"""What may be stored, and what is refused alike by every engine."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum, StrEnum
from timeit import repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrecord.codec import values
from agentrecord.exceptions import InvalidValue

EDGE = 2**63
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-EDGE, EDGE - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


class Colour(StrEnum):
    """Text that is also an enum."""

    RED = "red"


class Level(IntEnum):
    """A number that is also an enum."""

    LOW = 1


class Nanosecond(datetime):
    """A datetime of somebody else's class."""


@pytest.mark.parametrize("value", ["", "plain", "é", "日本語", "😀", "\ufffd", "\n\t\x01", "a" * 100_000])
def test_text_that_every_engine_stores_is_returned_as_it_is(value: str) -> None:
    assert values.text("content", value) is value
    assert values.clean_text(value) is value


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("a\0b", "NUL at position 1"),
        ("\0", "NUL at position 0"),
        ("é\0", "NUL at position 1"),
        ("ab\ud800", "U+D800 at position 2"),
        ("\udfff日本", "U+DFFF at position 0"),
        ("\ud83d\ude00", "U+D83D at position 0"),
    ],
)
def test_nul_and_lone_surrogates_are_refused_with_their_place(value: str, what: str) -> None:
    with pytest.raises(InvalidValue, match=r"^content: .*remove it") as caught:
        values.text("content", value)
    assert what in caught.value.reason
    assert caught.value.field == "content"


@pytest.mark.parametrize("value", [None, 5, b"bytes", ["text"]])
def test_what_is_not_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match="must be text"):
        values.text("content", value)


def test_text_may_be_limited_in_characters() -> None:
    assert values.text("title", "é" * 10, max_chars=10) == "é" * 10
    with pytest.raises(InvalidValue, match="has 11 characters; shorten it to 10"):
        values.text("title", "é" * 11, max_chars=10)


@given(st.text(st.characters()))
def test_cleaned_text_is_storable_and_changes_nothing_else(value: str) -> None:
    cleaned = values.clean_text(value)
    assert values.text("content", cleaned) == cleaned
    assert len(cleaned) == len(value)
    assert all(old == new or new == "\ufffd" for old, new in zip(value, cleaned, strict=True))


def test_cleaning_replaces_each_bad_character() -> None:
    assert values.clean_text("a\0b\ud800c\udfff") == "a\ufffdb\ufffdc\ufffd"


@pytest.mark.parametrize("value", ["a", "claude-opus-4-5", "é" * 255, " inner  blanks ", "日本"])
def test_a_name_is_returned_as_it_is(value: str) -> None:
    assert values.name("model", value) is value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "is blank"),
        (" \u3000\u00a0", "is blank"),
        ("a" * 256, "shorten it to 255"),
        ("a\nb", "U\\+000A"),
        ("a\x7f", "U\\+007F"),
        ("\x85x", "U\\+0085"),
        ("a\0", "holds NUL"),
        (None, "must be text"),
    ],
)
def test_what_cannot_name_anything_is_refused(value: object, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        values.name("model", value)


def test_integers_fit_into_64_bits() -> None:
    assert values.integer("size", EDGE - 1) == EDGE - 1
    assert values.integer("size", -EDGE) == -EDGE
    for value in (EDGE, -EDGE - 1, 10**5000, -(10**5000)):
        with pytest.raises(InvalidValue, match="must be from"):
            values.integer("size", value)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, math.nan])
def test_what_is_not_a_whole_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match="must be a whole number"):
        values.integer("size", value)


def test_bounds_of_an_integer_are_inclusive() -> None:
    assert values.integer("size", 1, minimum=1, maximum=2) == 1
    assert values.integer("size", 2, minimum=1, maximum=2) == 2
    for value in (0, 3):
        with pytest.raises(InvalidValue, match="must be from 1 to 2"):
            values.integer("size", value, minimum=1, maximum=2)


def test_counts_of_tokens_go_from_zero_to_a_billion() -> None:
    assert [values.tokens("input", value) for value in (0, 1_000_000_000)] == [0, 1_000_000_000]
    for value in (-1, 1_000_000_001):
        with pytest.raises(InvalidValue, match="input: must be from 0 to 1000000000"):
            values.tokens("input", value)


def test_fractions_are_finite_floats() -> None:
    assert values.fraction("score", 0.5) == 0.5
    assert isinstance(values.fraction("score", 4), float)
    for value in (math.nan, math.inf, -math.inf, 10**400):
        with pytest.raises(InvalidValue, match="must be a finite number"):
            values.fraction("score", value)
    for other in (True, "0.5", None):
        with pytest.raises(InvalidValue, match="must be a number"):
            values.fraction("score", other)


def test_moments_are_returned_in_utc_to_the_microsecond() -> None:
    local = datetime(2026, 2, 1, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=9)))
    assert values.moment("at", local) == local
    assert values.moment("at", local).isoformat() == "2026-01-31T16:02:03.456789+00:00"


def test_a_moment_of_a_subclass_becomes_a_plain_one() -> None:
    moment = values.moment("at", Nanosecond(2026, 2, 1, tzinfo=UTC))
    assert type(moment) is datetime
    assert moment == datetime(2026, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (datetime(2026, 2, 1), "names no time zone"),
        ("2026-02-01T00:00:00Z", "must be a datetime"),
        (datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "1970 to 9999"),
        (datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=1))), "1970 to 9999"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "1970 to 9999"),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), "1970 to 9999"),
    ],
)
def test_moments_without_a_zone_or_out_of_range_are_refused(value: object, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        values.moment("at", value)


def test_the_first_and_the_last_moment_are_kept() -> None:
    for moment in (datetime(1970, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert values.moment("at", moment) == moment


@pytest.mark.parametrize(
    "value",
    [
        "{}",
        ' {"b": 1.0, "a": [1, 2.50, null, true]}\n',
        '"text"',
        "-9223372036854775808",
        "9223372036854775807",
        "1e308",
        "-0",
        r'"\u00e9 \ud83d\ude00 \\u0000 \\ud800"',
        '{"a": {"a": 1}, "b": {"a": 1}}',
        '"' + "[" * 100 + r"\"" + "{" * 100 + '"',
        json.dumps("[" * 70) + " ",
        "[" * 64 + "]" * 64,
        "[" + ",".join(["[]"] * 100) + "]",
    ],
)
def test_json_text_is_returned_unchanged(value: str) -> None:
    assert values.json_text("data", value) is value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("{'a': 1}", "Expecting property name"),
        ("[1] [2]", "Extra data"),
        ("[01]", "Expecting ',' delimiter"),
        ('"a\nb"', "control character"),
        ("[NaN]", "NaN is no JSON"),
        ("-Infinity", "-Infinity is no JSON"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' comes twice"),
        (r'{"a": 1, "\u0061": 2}', "'a' comes twice"),
        ('[{"x": {"a": 1, "a": 1}}]', "'a' comes twice"),
        (r'"\u0000"', "holds NUL"),
        (r'{"a\u0000": 1}', "holds NUL"),
        (r'[{"a": ["\ud800"]}]', "lone surrogate"),
        (r'{"a": "\\\u0000"}', "holds NUL"),
        ('"\ud800"', "lone surrogate"),
        ("9223372036854775808", "does not fit into 64 bits"),
        ("-9223372036854775809", "does not fit into 64 bits"),
        ("1" * 5000, "does not fit into 64 bits"),
        ("1e400", "beyond double precision"),
        ("[-1.5e999]", "beyond double precision"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ('{"a":' * 65 + "1" + "}" * 65, "deeper than 64"),
        ("[" * 100_000, "deeper than 64"),
        ('["' + "[" * 70 + '",' + "[" * 64 + "]" * 64 + "]", "deeper than 64"),
        (5, "must be text"),
        (b"{}", "must be text"),
    ],
)
def test_json_that_engines_would_refuse_or_change_is_refused(value: object, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason) as caught:
        values.json_text("data", value)
    assert caught.value.field == "data"


def test_json_may_be_limited_in_depth_and_in_bytes_of_utf_8() -> None:
    assert values.json_text("data", "[[]]", max_depth=2, max_bytes=4) == "[[]]"
    with pytest.raises(InvalidValue, match="deeper than 1"):
        values.json_text("data", "[[]]", max_depth=1)
    with pytest.raises(InvalidValue, match="has 5 bytes; shorten it to 4"):
        values.json_text("data", '"日"', max_bytes=4)
    with pytest.raises(InvalidValue, match="has 5 bytes; shorten it to 4"):
        values.json_value("data", "日", max_bytes=4)


@given(JSON_VALUES)
def test_values_become_canonical_json_that_is_accepted_and_reads_back(value: Any) -> None:
    encoded = values.json_value("data", value)
    assert values.json_text("data", encoded) is encoded
    assert json.loads(encoded) == value
    assert values.json_value("data", json.loads(encoded)) == encoded


def test_canonical_json_does_not_depend_on_order_or_kind() -> None:
    first = values.json_value("data", {"b": (1, 2), "a": Colour.RED, "é": Level.LOW})
    assert first == values.json_value("data", {"é": 1, "a": "red", "b": [1, 2]}) == '{"a":"red","b":[1,2],"é":1}'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": math.nan}, "finite"),
        ([math.inf], "finite"),
        ({1: "a"}, "must be text"),
        ({"a\0": 1}, "holds NUL"),
        (["\ud800"], "lone surrogate"),
        ({"n": EDGE}, "must be from"),
        ({"at": datetime(2026, 2, 1)}, "JSON has not"),
        ([b"bytes"], "JSON has not"),
        ([{1, 2}], "JSON has not"),
    ],
)
def test_values_that_json_cannot_hold_are_refused(value: Any, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        values.json_value("data", value)


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidValue, match="nested too deeply"):
        values.json_value("data", endless)


def test_values_are_as_deep_as_json_text_may_be() -> None:
    value: list[Any] = []
    for _ in range(63):
        value = [value]
    assert values.json_text("data", values.json_value("data", value)).count("[") == 64
    with pytest.raises(InvalidValue, match="nested too deeply"):
        values.json_value("data", [value])


def test_checking_plain_text_takes_no_time_worth_naming() -> None:
    content = "x" * 500
    best = min(repeat(lambda: values.text("content", content), number=2_000, repeat=5)) / 2_000
    assert best < 5e-6  # measured: 0.08 microseconds; the room is for slow machines
