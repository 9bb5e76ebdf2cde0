"""Where the prices behind a sum of costs come from."""

from dataclasses import dataclass
from datetime import datetime

OWN = "user"
"""The source of prices of one's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSources:
    """Which prices are behind a sum of costs: the built-in `tables` by name, and how many prices of one's `own`.

    `by_provider` says that providers named the cost of some calls themselves. `latest_from` is the latest instant from
    which one of these prices holds; None where none of them says.
    """

    tables: tuple[str, ...] = ()
    own: int = 0
    by_provider: bool = False
    latest_from: datetime | None = None

    def __str__(self) -> str:
        """Return them in a few words: genai-prices 0.2.3, 2 of your own, the latest from 2026-11-14."""
        told = [*self.tables]
        if self.own:
            told.append(f"{self.own:,} of your own")
        if self.by_provider:
            told.append("the providers' own figures")
        if self.latest_from is not None:
            told.append(f"the latest from {self.latest_from:%Y-%m-%d}")
        return ", ".join(told)
