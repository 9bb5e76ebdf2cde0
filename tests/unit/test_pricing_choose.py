"""Which price charges a call: own rows before the built-in table."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from agentrecord.ids import DEFAULT_PROJECT, ProjectId, new_id
from agentrecord.pricing.choose import choose
from agentrecord.records.price import Price, Quote, Rates

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
DOLLAR = 1_000_000_000
OTHER_PROJECT = ProjectId(UUID("00000000-0000-7000-8000-000000000002"))


def price(model: str, dollars: int, **more: Any) -> Price:
    """Return a row of the user's own, with an input rate to know it by."""
    defaults: dict[str, Any] = {"host": None, "source": "user", "created_at": NOON}
    rates = Rates(input=dollars * DOLLAR, output=0)
    return Price(id=new_id(), model_uuid=None, model=model, rates=rates, **{**defaults, **more})


def chosen(own: list[Price], model: str = "claude-opus-4-5", **more: Any) -> int | None:
    """Return the whole dollars of the chosen price's input rate."""
    arguments: dict[str, Any] = {"host": "Anthropic", "at": NOON, "project": DEFAULT_PROJECT}
    found = choose(own, model, **{**arguments, **more})
    return None if found is None or found.rates.input is None else found.rates.input // DOLLAR


def test_own_prices_win_over_the_built_in_table() -> None:
    assert chosen([]) == 5
    assert chosen([price("Claude-Opus-4-5", 1)]) == 1
    assert chosen([price("some-other-model", 1)]) == 5
    assert isinstance(choose([], "claude-opus-4-5", host=None, at=NOON, project=None), Quote)


def test_an_own_price_gives_a_local_model_a_cost() -> None:
    assert chosen([], "qwen3:8b", host="Ollama") is None
    assert chosen([price("qwen3:8b", 0, host="ollama")], "qwen3:8b", host="Ollama") == 0


@pytest.mark.parametrize("pattern", ["claude-*", "*-4-5", "*opus*", "*", "CLAUDE-*"])
def test_wildcards_stand_at_either_end(pattern: str) -> None:
    assert chosen([price(pattern, 1)]) == 1


@pytest.mark.parametrize("pattern", ["opus*", "*opus", "claude-opus", "gpt-*", "claude-o*-4-5"])
def test_a_wildcard_that_does_not_fit_is_left_aside(pattern: str) -> None:
    assert chosen([price(pattern, 1)]) == 5


def test_a_price_for_another_host_or_project_is_left_aside() -> None:
    rows = [price("claude-opus-4-5", 1, host="OpenRouter"), price("claude-opus-4-5", 2, project_id=OTHER_PROJECT)]
    assert chosen(rows) == 5
    assert chosen(rows, host=None) == 5
    assert chosen(rows, host="openrouter") == 1
    assert chosen(rows, project=OTHER_PROJECT) == 2


def test_a_price_holds_from_its_first_instant_on() -> None:
    rows = [price("claude-opus-4-5", 1), price("claude-opus-4-5", 2, effective_from=NOON)]
    assert chosen(rows, at=NOON - timedelta(microseconds=1)) == 1
    assert chosen(rows, at=NOON) == 2


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        ({"project_id": DEFAULT_PROJECT}, {"effective_from": NOON}),
        ({"model": "claude-*", "effective_from": NOON}, {}),
        ({}, {"model": "claude-*", "host": "Anthropic"}),
        ({"host": "Anthropic"}, {"created_at": NOON + timedelta(days=1)}),
        ({"created_at": NOON + timedelta(days=1)}, {}),
    ],
    ids=["project", "later", "exact", "host", "newest"],
)
def test_of_two_fitting_prices_the_stronger_wins_in_any_order(stronger: dict[str, Any], weaker: dict[str, Any]) -> None:
    first = price(**{"model": "claude-opus-4-5", "dollars": 1, **stronger})
    second = price(**{"model": "claude-opus-4-5", "dollars": 2, **weaker})
    assert chosen([first, second]) == chosen([second, first]) == 1
