"""What fields of requests may hold beyond their type, for the API's description.

Most of it the store refuses, with words of its own; here it is told beforehand, to people and to programs that read
the description. Only what a request could hold and JSON could not is refused here.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any  # `Any`: a type made of values

from pydantic import BeforeValidator, Field, JsonValue

from agentrecord.codec.values import MAX_NAME
from agentrecord.exceptions import InvalidValue
from agentrecord.records.usage import NANOS_PER_DOLLAR

_CONTROL = r"\u0000-\u001f\u007f-\u009f"
NAME_PATTERN = rf"^[^{_CONTROL}]*[^\s{_CONTROL}][^{_CONTROL}]*$"
"""At least one visible character, and no control characters."""

EMAIL_PATTERN = rf"^[^@\s{_CONTROL}]+@[^@\s{_CONTROL}]*[^@.\s{_CONTROL}][^@\s{_CONTROL}]*$"
MOMENT_PATTERN = r"^(19[7-9]\d|[2-9]\d{3})-"
"""The years 1970 to 9999."""

DOLLARS_PATTERN = r"^(\d{1,9}(\.\d{1,9})?|1000000000(\.0{1,9})?)$"
MAX_DOLLARS = 1_000_000_000
_WRITTEN_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _written(value: object) -> object:
    """Refuse what is no written date and time: a bare number would be taken for seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and _WRITTEN_MOMENT.match(value)):
        return value
    raise ValueError("must be a date and time with its zone, such as 2026-01-31T00:00:00Z")


Moment = Annotated[
    datetime, BeforeValidator(_written), Field(json_schema_extra={"pattern": MOMENT_PATTERN, "format": "date-time"})
]
"""An instant from 1970 on, as RFC 3339 writes it."""

Name = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": MAX_NAME, "pattern": NAME_PATTERN})]
"""What names something: 1 to 255 characters."""

Email = Annotated[
    str, Field(max_length=320, json_schema_extra={"minLength": 3, "maxLength": MAX_NAME, "pattern": EMAIL_PATTERN})
]

JsonText = Annotated[
    str, Field(json_schema_extra={"contentMediaType": "application/json", "format": "json-string", "minLength": 1})
]
"""JSON, written as text."""

NewPassword = Annotated[str, Field(max_length=1024, json_schema_extra={"minLength": 12})]
"""A password that is to be: 12 characters or more, at most 1,024 bytes."""

NANO = Decimal("1e-9")
MAX_EXPONENT = 18
"""Larger amounts what they are for refuses, and these fit the precision of decimals."""

RATE_PATTERN = r"^(\d{1,6}(\.\d{1,9})?|1000000(\.0{1,9})?)$"
MAX_RATE = 1_000_000
_DOLLARS: dict[str, JsonValue] = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": MAX_DOLLARS, "multipleOf": 1e-9},
        {"type": "string", "pattern": DOLLARS_PATTERN},
    ]
}
Dollars = Annotated[Decimal, Field(json_schema_extra=_DOLLARS)]

Rate = Annotated[
    Decimal,
    Field(
        json_schema_extra={
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": MAX_RATE, "multipleOf": 1e-9},
                {"type": "string", "pattern": RATE_PATTERN},
            ]
        }
    ),
]
"""Dollars per million tokens, or per call."""


def nanos_of(name: str, amount: Decimal) -> int:
    """Return dollars as whole nano-dollars; raise `InvalidValue` for what is no such amount."""
    # Bounded before it is reckoned with: an exponent of a few characters makes a number of gigabytes.
    if not amount.is_finite() or amount.adjusted() > MAX_EXPONENT or amount != amount.quantize(NANO):
        raise InvalidValue(name, str(amount), "must be dollars, 1e9 at most, with at most nine decimals")
    return int(amount * NANOS_PER_DOLLAR)


def sort_of(names: Iterable[str], default: str, description: str | None = None) -> Any:
    """Return the field that says how a list is ordered: one of `names`, with `-` before it for descending."""
    known: list[JsonValue] = [sign + name for name in names for sign in ("", "-")]
    return Field(default, description=description, json_schema_extra={"enum": known})
