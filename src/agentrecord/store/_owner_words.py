"""The words that agents and users are both filtered by: what they did and spent over some days."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Subquery, case, func, or_, type_coerce

from agentrecord.records.measures import WordKind
from agentrecord.schema.types import Whole
from agentrecord.store._words import Rule, Words, choice_word, measured_word, tokens_of


def _number(found: Subquery, name: str) -> ColumnElement[int]:
    return type_coerce(func.coalesce(found.c[name], 0), Whole())


def flags_of(active: Subquery, spent: Subquery) -> Mapping[str, ColumnElement[bool]]:
    """Return what there can be in somebody's figures, each with its condition."""
    return {
        "error": or_(*[_number(active, name) > 0 for name in ("error_count", "failed_runs", "tool_errors")]),
        "runs": _number(active, "run_count") > 0,
        "calls": _number(spent, "calls") > 0,
        "unpriced": _number(spent, "unpriced_calls") > 0,
    }


def words_of(active: Subquery, spent: Subquery, *own: Rule, free: Sequence[ColumnElement[str]]) -> Words:
    """Return the words of a list whose rows have daily figures: its `own`, and those of what they did and spent."""
    calls, unpriced = _number(spent, "calls"), _number(spent, "unpriced_calls")
    counts = {
        "runs": ("Runs", "runs:>10", _number(active, "run_count")),
        "failed": ("Failed runs", "failed:>0", _number(active, "failed_runs")),
        "sessions": ("Sessions begun", "sessions:>1", _number(active, "session_count")),
        "tools": ("Uses of tools", "tools:>100", _number(active, "tool_calls")),
        "errors": ("Errors that were recorded", "errors:>3", _number(active, "error_count")),
        "calls": ("Calls to models", "calls:>20", calls),
        "tokens": ("Tokens of all classes", "tokens:>100k", tokens_of(spent)),
    }
    return Words(
        (
            *own,
            choice_word("has", "What there must be", "has:error", flags_of(active, spent)),
            *[measured_word(name, WordKind.COUNT, *told) for name, told in counts.items()],
            measured_word("cost", WordKind.MONEY, "Dollars, where a price is known", "cost:>0.05",
                          case((calls > unpriced, spent.c.cost_nanos))),
        ),
        free=free,
    )  # fmt: skip
