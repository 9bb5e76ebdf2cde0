"""One page of a list, and where the next one starts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar  # `Any`: a row's values are of many types

from agentrecord.records import _shown

T = TypeVar("T")

MAX_PAGE = 200
MAX_OFFSET = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows of a list in order; `next_cursor` is None on the last page, `total` counts the whole filter.

    `total` is exact up to `COUNT_LIMIT`; beyond that it is `COUNT_LIMIT` and `total_is_exact` is False.
    """

    items: Sequence[T]
    limit: int
    next_cursor: str | None = None
    total: int | None = None
    total_is_exact: bool = True

    def __iter__(self) -> Iterator[T]:
        """Iterate over this page's rows."""
        return iter(self.items)

    def __len__(self) -> int:
        """Return the number of rows on this page."""
        return len(self.items)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return this page's rows as flat dicts, as a data frame takes them; their sums stand under `usage_…`."""
        return [_shown.as_dict(row) for row in self.items]


COUNT_LIMIT = 10_000
