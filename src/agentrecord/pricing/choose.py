"""Which price charges a call: the user's own rows first, then the built-in table."""

from collections.abc import Sequence
from datetime import UTC, datetime

from agentrecord.ids import ProjectId
from agentrecord.pricing import builtin
from agentrecord.records.price import Price, Quote

EVER = datetime.min.replace(tzinfo=UTC)


def choose(
    own: Sequence[Price], model: str, *, host: str | None, at: datetime, project: ProjectId | None
) -> Price | Quote | None:
    """Return the price that charges a call to `model` at `host` at the instant `at`, made in `project`.

    A row of `own` applies if its model names this one (any case; a `*` at either end stands for anything), its
    host is this one or none, its project is this one or none, and it is in force. Of those that apply, the
    project's own wins over a general one, then the later over the earlier, then an exact name over a wildcard,
    then one for this host over one for any, then the one created last. Without any, the built-in table speaks.
    """
    if own:
        name = model.casefold()
        place = None if host is None else host.casefold()
        rows = [row for row in own if _applies(row, name, place, project) and _since(row) <= at]
        if rows:
            return max(rows, key=_rank)
    return builtin.find(model, host, at)


def _applies(row: Price, name: str, place: str | None, project: ProjectId | None) -> bool:
    if row.project_id is not None and row.project_id != project:
        return False
    if row.host is not None and row.host.casefold() != place:
        return False
    return names(row.model.casefold(), name)


def names(pattern: str, name: str) -> bool:
    """Say whether a price's model, in which a `*` at either end stands for anything, names a model."""
    core = pattern.strip("*")
    match pattern.startswith("*"), pattern.endswith("*"):
        case True, True:
            return core in name
        case True, False:
            return name.endswith(core)
        case False, True:
            return name.startswith(core)
        case _:
            return name == pattern


def _since(row: Price) -> datetime:
    return row.effective_from or EVER


def _rank(row: Price) -> tuple[bool, datetime, bool, bool, datetime]:
    return (row.project_id is not None, _since(row), "*" not in row.model, row.host is not None, row.created_at)
