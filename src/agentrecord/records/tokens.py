"""Token counts in disjoint classes: a token is in exactly one of them (reasoning is a part of output)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Tokens of one or more calls, by class; None means that the source did not say.

    `input` are the uncached input tokens. `unclassified` holds the one number of a source that
    gives no classes. `reasoning` is already contained in `output`.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    unclassified: int | None = None

    @property
    def total_input(self) -> int:
        """Uncached input, cache reads and cache writes: what a provider calls its input total."""
        return (self.input or 0) + (self.cache_read or 0) + (self.cache_write_5m or 0) + (self.cache_write_1h or 0)

    @property
    def total(self) -> int:
        """All tokens, each counted once."""
        return self.total_input + (self.output or 0) + (self.unclassified or 0)

    @property
    def is_complete(self) -> bool:
        """Say whether the source told both what went in and what came out."""
        return self.input is not None and self.output is not None
