"""Records as JSON and back, for every type of record that the package has."""

import dataclasses
import importlib
import json
import pkgutil
import types
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrecord import records
from agentrecord.codec.jsonable import from_json, to_json, to_jsonable
from agentrecord.exceptions import InvalidValue
from agentrecord.ids import UserId, new_id
from agentrecord.records.llm_call import LLMCall
from agentrecord.records.message import Part, PartKind
from agentrecord.records.page import Page
from agentrecord.records.run import Run, RunStatus
from agentrecord.records.session import SessionChanges
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.unset import UNSET
from agentrecord.records.usage import UsageTotals

AT = datetime(2026, 2, 1, 12, tzinfo=UTC)
OFFSETS = st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-3, minutes=-30))])
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    bytes: st.binary(),
    type(None): st.none(),
    UUID: st.uuids(),
    date: st.dates(),
    Any: st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    datetime: st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=OFFSETS),
}


def record_types() -> Iterator[type]:
    """Yield every record type of the package, as its modules define them; `Page` is tested on its own."""
    for module_info in pkgutil.iter_modules(records.__path__, "agentrecord.records."):
        for member in vars(importlib.import_module(module_info.name)).values():
            is_record = isinstance(member, type) and dataclasses.is_dataclass(member) and member is not Page
            if is_record and member.__module__ == module_info.name:
                yield member


RECORD_TYPES = list(record_types())


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for what a field's annotation allows."""
    if annotation in PLAIN:
        return PLAIN[annotation]
    if isinstance(annotation, NewType):
        return values_of(annotation.__supertype__)
    if get_origin(annotation) in (Union, types.UnionType):
        return st.one_of([values_of(option) for option in get_args(annotation)])
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if get_origin(annotation) is tuple:
        options = get_args(annotation)
        if Ellipsis not in options:
            return st.tuples(*[values_of(option) for option in options])
        return st.lists(values_of(get_args(annotation)[0]), max_size=2).map(tuple)
    if get_origin(annotation) is frozenset:
        return st.frozensets(values_of(get_args(annotation)[0]))
    if get_origin(annotation) is Mapping:
        keys, found = (values_of(option) for option in get_args(annotation))
        return st.dictionaries(keys, found, max_size=2)
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    return records_of(annotation)


def records_of(kind: type) -> st.SearchStrategy[Any]:
    """Return a strategy for records of one type."""
    return st.builds(kind, **{name: values_of(hint) for name, hint in get_type_hints(kind).items()})


def call(**more: Any) -> LLMCall:
    """Return a call with as little as it may have."""
    known: dict[str, Any] = {
        "id": new_id(),
        "timestamp": AT,
        "created_at": AT,
        "user_uuid": UserId(new_id()),
        "model": "m",
        "host": None,
        "tokens": TokenCounts(input=2, cache_read=3, output=5),
    }
    return LLMCall(**{**known, **more})


def test_the_record_types_are_found() -> None:
    assert len(RECORD_TYPES) > 40
    assert {LLMCall, Part, UsageTotals} <= set(RECORD_TYPES)


@pytest.mark.parametrize("kind", RECORD_TYPES, ids=lambda kind: kind.__name__)
def test_every_record_reads_back_as_it_was(kind: type) -> None:
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(record=records_of(kind))
    def reads_back(record: Any) -> None:
        assert from_json(kind, to_json(record)) == record

    reads_back()


@pytest.mark.parametrize("kind", RECORD_TYPES, ids=lambda kind: kind.__name__)
def test_every_field_and_computed_property_is_in_the_json(kind: type) -> None:
    @settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
    @given(record=records_of(kind))
    def has_all(record: Any) -> None:
        shown = json.loads(to_json(record))
        fields = [field.name for field in dataclasses.fields(record) if getattr(record, field.name) is not UNSET]
        properties = {name for name, member in vars(kind).items() if isinstance(member, property)}
        assert list(shown)[: len(fields)] == fields
        assert properties <= shown.keys()

    has_all()


def test_a_page_of_records_reads_back() -> None:
    part = Part(kind=PartKind.TEXT, text="é")
    page = Page(items=[part], limit=50, next_cursor="c", total=7)
    assert from_json(Page[Part], to_json(page)) == page


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (AT, "2026-02-01T12:00:00.000000Z"),
        (AT + timedelta(microseconds=1), "2026-02-01T12:00:00.000001Z"),
        (datetime(2026, 2, 1, 1, tzinfo=timezone(timedelta(hours=9))), "2026-01-31T16:00:00.000000Z"),
    ],
)
def test_instants_are_written_in_utc_with_microseconds(at: datetime, expected: str) -> None:
    assert to_jsonable(call(timestamp=at))["timestamp"] == expected


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidValue, match="names no time zone"):
        to_json(call(timestamp=datetime(2026, 2, 1)))


def test_other_types_are_written_as_readers_expect_them() -> None:
    identity = UUID("01980000-0000-7000-8000-000000000001")
    shown = {
        "id": identity,
        "day": date(2026, 2, 1),
        "amount": Decimal("1.10"),
        "status": RunStatus.ERROR,
        "raw": b"\0\xff",
    }
    assert json.loads(to_json([shown])) == [
        {"id": str(identity), "day": "2026-02-01", "amount": "1.10", "status": "error", "raw": "AP8="}
    ]


@pytest.mark.parametrize("nanos", [0, 1, 10, 103_011_591_950, 2**63 - 1])
def test_dollars_are_a_json_number_with_every_digit(nanos: int) -> None:
    shown = json.loads(to_json(call(cost_nanos=nanos)), parse_float=Decimal)
    assert not isinstance(shown["cost_usd"], str)
    assert shown["cost_usd"] * 1_000_000_000 == shown["cost_nanos"] == nanos


def test_a_call_without_a_price_costs_null_dollars_and_not_zero() -> None:
    assert to_jsonable(call())["cost_usd"] is None
    assert to_jsonable(UsageTotals(calls=2, unpriced_calls=2))["cost_usd"] is None
    assert to_jsonable(UsageTotals(calls=2, unpriced_calls=1, cost_nanos=5))["cost_usd"] == 5e-9


def test_totals_of_tokens_stand_beside_their_classes() -> None:
    assert to_jsonable(call())["total_tokens"] == 10
    assert to_jsonable(UsageTotals(input_tokens=1, cache_read_tokens=2, output_tokens=3))["total_tokens"] == 6


def test_computed_properties_of_nested_records_are_written_too() -> None:
    run = Run(
        id=new_id(),
        run_id="r",
        user_uuid=UserId(new_id()),
        user="u",
        status=RunStatus.COMPLETED,
        created_at=AT,
        updated_at=AT,
        started_at=AT,
        finished_at=AT + timedelta(seconds=2),
        usage=UsageTotals(cost_nanos=500_000_000),
    )
    shown = to_jsonable({"runs": (run,)})["runs"][0]
    assert shown["duration_ms"] == 2000
    assert shown["usage"]["cost_usd"] == 0.5
    assert shown["subtree"] is None


def test_jsonable_is_what_a_reader_of_the_json_gets() -> None:
    record = call(cost_nanos=1, origin="import")
    assert to_jsonable(record) == json.loads(to_json(record))


def test_what_is_not_to_change_is_left_out_and_null_is_a_change() -> None:
    changes = SessionChanges(title=None, tags=("a",))
    assert to_json(changes) == b'{"title":null,"tags":["a"]}'
    read = from_json(SessionChanges, '{"title": null, "tags": ["a"]}')
    assert read == changes
    assert read.description is UNSET
    with pytest.raises(InvalidValue, match=r"Invalid enum value 'bogus' - at `\$.status`"):
        from_json(SessionChanges, '{"status": "bogus"}')


def test_unknown_keys_are_left_aside() -> None:
    assert from_json(Part, '{"kind": "text", "text": "a", "new_in_a_later_version": 1}') == Part(
        kind=PartKind.TEXT, text="a"
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ('{"text": "a"}', "missing required field `kind`"),
        ('{"kind": "song"}', r"Invalid enum value 'song' - at `\$.kind`"),
        ('{"kind": "text", "text": 5}', r"Expected `str \| null`, got `int` - at `\$.text`"),
        ("{", "truncated"),
        (b'{"kind": "text", "text": "\xff"}', "Part"),
        (r'{"kind": "text", "text": "\ud800"}', "Part"),
    ],
)
def test_json_of_something_else_is_refused_with_the_place(data: bytes | str, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason) as caught:
        from_json(Part, data)
    assert caught.value.field == "Part"
