"""Prices: one's own win, the past is priced anew on demand, and what is shown says where it comes from."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agentrecord.exceptions import Forbidden, InvalidFilter, InvalidValue, NotFound
from agentrecord.ids import new_id
from agentrecord.records.audit import Actor
from agentrecord.records.llm_call import CostSource, NewLLMCall
from agentrecord.records.price import NewPrice, Rates, Tier
from agentrecord.records.price_sources import PriceSources
from agentrecord.records.run import NewRun, RunFilter
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.usage import UsageBy
from faces import Facing, covers

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPUS = "claude-opus-4-5"
MILLION = TokenCounts(input=1_000_000, output=0)
OWN = Rates(input=7 * 10**9, output=9 * 10**9)


@covers("prices.set", "prices.find", "prices.list", "prices.retire")
def test_ones_own_price_wins_over_the_built_in_one_until_it_is_retired(store: Facing) -> None:
    built_in = store.prices.find(OPUS, host="Anthropic", at=AT)
    assert (built_in.rates.input, store.prices.find("no-such-model")) == (5 * 10**9, None)
    own = store.prices.set(NewPrice(model=OPUS, rates=OWN))
    assert store.prices.find(OPUS, host="Anthropic", at=AT).rates == OWN
    call = store.llm_calls.record(NewLLMCall(model=OPUS, host="Anthropic", tokens=MILLION, timestamp=AT))
    assert (call.cost_nanos, call.price_uuid, call.cost_source) == (7 * 10**9, own.id, CostSource.PRICE)
    assert store.llm_calls.price(call.id).source == "user"
    assert [p.id for p in store.prices.list()] == [own.id]
    store.prices.retire(own.id)
    assert store.prices.find(OPUS, host="Anthropic", at=AT).rates == built_in.rates
    assert store.llm_calls.get(call.id).cost_nanos == 7 * 10**9
    for gone in (own.id, new_id()):
        with pytest.raises(NotFound):
            store.prices.retire(gone)


def test_the_newest_price_in_force_at_a_call_charges_it(store: Facing) -> None:
    store.prices.set(NewPrice(model="m", rates=Rates(input=10**9, output=0)))
    store.prices.set(NewPrice(model="m", rates=Rates(input=2 * 10**9, output=0), effective_from=AT))
    store.prices.set(NewPrice(model="m", rates=Rates(input=3 * 10**9, output=0), effective_from=AT))
    for when, cost in ((AT - timedelta(seconds=1), 1), (AT, 3), (AT + timedelta(days=9), 3)):
        call = store.llm_calls.record(NewLLMCall(model="m", tokens=MILLION, timestamp=when))
        assert call.cost_nanos == cost * 10**9
    assert len(store.prices.list()) == 2


def test_a_tier_charges_the_whole_call_beyond_its_limit(store: Facing) -> None:
    tier = Tier(above_input_tokens=200_000, rates=Rates(input=10**12, output=0))
    store.prices.set(NewPrice(model="m", rates=Rates(input=10**11, output=0), tiers=(tier,)))
    for tokens, cost in ((200_000, 2 * 10**10), (200_001, 200_001 * 10**6)):
        call = store.llm_calls.record(NewLLMCall(model="m", tokens=TokenCounts(input=tokens, output=0)))
        assert call.cost_nanos == cost


def test_a_price_that_makes_no_sense_is_refused(store: Facing) -> None:
    for wrong in (
        NewPrice(model="", rates=OWN), NewPrice(model="m", rates=Rates(input=-1)), NewPrice(model="m", rates=Rates()),
        NewPrice(model="m", rates=OWN, tiers=(Tier(above_input_tokens=1, rates=Rates(output=2**70)),)),
        NewPrice(model="m", rates=OWN, effective_from=datetime(2026, 1, 1)),
    ):  # fmt: skip
        with pytest.raises(InvalidValue):
            store.prices.set(wrong)
    assert store.prices.list() == ()


@covers("prices.reprice")
def test_repricing_shows_first_and_then_changes_every_sum(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    unknown, known, given = (
        store.llm_calls.record(
            NewLLMCall(
                model=model, tokens=MILLION, timestamp=AT + timedelta(days=day), session_uuid=session, cost_nanos=cost
            )
        )
        for day, (model, cost) in enumerate((("m", None), (OPUS, None), ("m", 77)))
    )
    store.prices.set(NewPrice(model="m", rates=OWN))
    (row,) = [r for r in store.prices.reprice() if r.changed_calls]
    assert (row.day, row.model, row.calls, row.old_nanos, row.new_nanos, row.old_unpriced, row.new_unpriced) == (
        "2026-03-01", "m", 1, 0, 7 * 10**9, 1, 0)  # fmt: skip
    assert store.llm_calls.get(unknown.id) == unknown
    assert store.usage.report(UsageBy.TOTAL).total.unpriced_calls == 1
    assert store.prices.reprice(until=AT) == () == store.prices.reprice(model="other")
    store.prices.reprice(apply=True)
    assert store.llm_calls.get(unknown.id).cost_nanos == 7 * 10**9
    assert store.llm_calls.get(given.id).cost_nanos == 77
    total = store.usage.report(UsageBy.TOTAL).total
    assert (total.cost_nanos, total.unpriced_calls) == (12 * 10**9 + 77, 0)
    assert store.sessions.get("s").usage == total
    assert not any(r.changed_calls for r in store.prices.reprice(apply=True))
    assert store.llm_calls.get(known.id).cost_nanos == 5 * 10**9


@covers("prices.preview", "prices.apply")
def test_a_price_shows_what_it_would_change_and_then_changes_just_that(store: Facing) -> None:
    before, after, given, other = (
        store.llm_calls.record(NewLLMCall(model=model, tokens=MILLION, timestamp=AT + timedelta(days=day),
                                          cost_nanos=cost))
        for day, model, cost in ((0, "Mine", None), (2, "mine", None), (2, "mine", 77), (2, "another", None))
    )  # fmt: skip
    total = store.usage.report(UsageBy.TOTAL).total
    assert (total.cost_nanos, total.unpriced_calls) == (77, 3)
    new = NewPrice(model="mine", rates=OWN, effective_from=AT + timedelta(days=1))
    shown = store.prices.preview(new)
    assert (shown.applied, shown.calls, shown.changed_calls, shown.priced_calls, shown.change_nanos) == (
        False, 1, 1, 1, 7 * 10**9)  # fmt: skip
    assert (store.prices.list(), store.usage.report(UsageBy.TOTAL).total, store.audit.list().total) == ((), total, 0)
    by = Actor(kind="account", name="root@example.org")
    done = store.prices.apply(new, by=by)
    assert (done.price.rates, done.repricing.applied, done.repricing.rows) == (OWN, True, shown.rows)
    assert [store.llm_calls.get(call.id).cost_nanos for call in (before, after, given, other)] == [
        None, 7 * 10**9, 77, None,
    ]  # fmt: skip
    whole = store.usage.report(UsageBy.TOTAL).total
    assert (whole.cost_nanos, whole.unpriced_calls) == (7 * 10**9 + 77, 2)
    entries = store.audit.list().items
    assert [(entry.action, entry.actor) for entry in entries] == [
        ("price.reprice", by.name), ("price.set", by.name),
    ]  # fmt: skip
    assert '"changed_calls":1' in entries[0].details
    # The same price again replaces itself, and so changes nothing; a cheaper one in its place does.
    assert store.prices.preview(new).changed_calls == 0
    cheaper = NewPrice(model="m*", rates=Rates(input=10**9, output=0))
    assert store.prices.preview(cheaper).change_nanos == 10**9
    again = NewPrice(model="mine", rates=Rates(input=10**9, output=0), effective_from=new.effective_from)
    assert store.prices.preview(again).change_nanos == store.prices.apply(again).repricing.change_nanos == -6 * 10**9
    assert store.usage.report(UsageBy.TOTAL).total.cost_nanos == 10**9 + 77


def test_a_price_that_makes_no_sense_has_no_preview_and_changes_nothing(store: Facing) -> None:
    store.llm_calls.record(NewLLMCall(model="m", tokens=MILLION))
    for operation in (store.prices.preview, store.prices.apply):
        with pytest.raises(InvalidValue):
            operation(NewPrice(model="m", rates=Rates(input=-1, output=0)))
    with pytest.raises(Forbidden):
        store.scoped(project="p", role=Role.ADMIN).prices.preview(NewPrice(model="m", rates=OWN))
    assert (store.prices.list(), store.audit.list().total) == ((), 0)


@covers("prices.uses", "prices.ensure_host", "prices.list_models")
def test_models_that_were_used_show_their_price_and_the_unpriced_come_first(store: Facing) -> None:
    store.llm_calls.record(NewLLMCall(model=OPUS, host="Anthropic", tokens=MILLION, timestamp=AT))
    store.llm_calls.record(NewLLMCall(model="mystery", tokens=MILLION, timestamp=AT))
    first, second = store.prices.uses()
    assert (first.model, first.totals.unpriced_calls, first.rates) == ("mystery", 1, None)
    assert (second.model, second.rates.input, second.first_at) == (OPUS, 5 * 10**9, AT)
    host = store.prices.ensure_host("Anthropic", base_url="https://api.example.org")
    assert host == store.prices.ensure_host("Anthropic")
    named = {m.name: m.host for m in store.prices.list_models()}
    assert named[OPUS] == "Anthropic"
    assert "mystery" in named


@covers("prices.spending")
def test_spending_is_the_series_of_models_and_what_is_told_of_each_in_one(store: Facing) -> None:
    for days, model, host in ((0, OPUS, "Anthropic"), (1, OPUS, "other"), (1, "mystery", None), (9, OPUS, "Anthropic")):
        store.llm_calls.record(
            NewLLMCall(
                model=model, host=host, tokens=MILLION, timestamp=AT + timedelta(days=days), is_subagent=days == 1
            )
        )
    edges = ({}, {"since": AT}, {"until": AT + timedelta(days=2)}, {"since": AT + timedelta(days=99)},
             {"include_subagents": False})  # fmt: skip
    for given in edges:
        for by in (UsageBy.HOUR, UsageBy.DAY, UsageBy.WEEK, UsageBy.MONTH):
            found = store.prices.spending(by, **given)
            assert set(found.rows) == set(store.usage.series(UsageBy.MODEL, by=by, **given))
            assert found.uses == store.prices.uses(**given)
    assert store.scoped(user="somebody").prices.spending().rows == ()
    with pytest.raises(InvalidFilter, match="must be one of hour, day, week, month"):
        store.prices.spending(UsageBy.USER)


def test_only_an_operator_sets_prices_outside_the_project(store: Facing) -> None:
    admin = store.scoped(project="p", role=Role.ADMIN)
    with pytest.raises(Forbidden):
        admin.prices.set(NewPrice(model="m", rates=OWN))
    everybodys = store.prices.set(NewPrice(model="m", rates=OWN))
    with pytest.raises(NotFound):
        admin.prices.retire(everybodys.id)
    own = admin.prices.set(NewPrice(model="m", rates=Rates(input=1, output=1), project_id=admin.scope.project))
    assert admin.prices.find("m").rates.input == 1
    assert store.prices.find("m").rates == OWN
    assert own.id not in {p.id for p in store.prices.list()}
    admin.prices.retire(own.id)


@covers("prices.behind")
def test_a_sum_says_which_prices_are_behind_it_and_where_they_come_from(store: Facing) -> None:
    assert store.prices.behind() is None
    table = store.prices.find(OPUS).source
    later = AT + timedelta(days=3)
    store.prices.set(NewPrice(model="mine", rates=OWN, effective_from=AT - timedelta(days=1)))
    session = store.sessions.create(NewSession(session_id="s"), user="ana")
    run = store.runs.start(NewRun(run_id="top", session_uuid=session.id, agent_id="bot", started_at=AT))
    below = store.runs.start(NewRun(run_id="below", parent_uuid=run.id, agent_id="scout", started_at=AT))
    store.llm_calls.record(
        NewLLMCall(model=OPUS, host="Anthropic", tokens=MILLION, timestamp=AT, run_uuid=below.id, agent_id="scout")
    )
    store.llm_calls.record(NewLLMCall(model="unheard-of", tokens=MILLION, timestamp=AT, run_uuid=run.id))
    built_in = PriceSources(tables=(table,))
    assert str(built_in) == table
    assert store.runs.get("top", with_subtree=True).prices == built_in
    assert store.prices.behind() == built_in
    assert store.runs.get("top").prices is None
    store.llm_calls.record(
        NewLLMCall(model="mine", tokens=MILLION, timestamp=later, session_uuid=session.id, agent_id="bot")
    )
    store.llm_calls.record(NewLLMCall(model="told", cost_nanos=5, timestamp=later, session_uuid=session.id))
    own = PriceSources(own=1, latest_from=AT - timedelta(days=1))
    assert str(own) == "1 of your own, the latest from 2026-02-28"
    told = store.sessions.get("s", with_subtree=True).prices
    assert told == replace(own, by_provider=True)
    assert str(told) == "1 of your own, the providers' own figures, the latest from 2026-02-28"
    both = replace(own, tables=(table,))
    assert store.prices.behind() == both
    assert store.prices.behind(until=later.replace(hour=0)) == built_in
    assert store.prices.behind(since=later) == own
    agents = {agent.agent_id: agent.id for agent in store.agents.list()}
    assert store.prices.behind(agent=agents["scout"]) == built_in
    assert store.prices.behind(agent=agents["bot"]) == own
    assert store.prices.behind(user=session.user_uuid) == store.users.details("ana").prices == both
    assert store.prices.behind(user=new_id()) is None
    assert store.agents.details("scout").prices == built_in
    for sums in (store.usage.report(UsageBy.DAY), store.users.sums(), store.agents.sums(), store.sessions.sums()):
        assert sums.prices == both, sums
    assert store.runs.sums(RunFilter(until=later.replace(hour=0))).prices == built_in
    assert store.usage.report(UsageBy.DAY, since=later).prices == own
    assert store.usage.report(UsageBy.DAY, name_unpriced=False).prices is None


@covers("prices.behind", "runs.get")
def test_what_a_call_was_charged_by_is_behind_its_run_even_when_that_price_is_gone(store: Facing) -> None:
    own = store.prices.set(NewPrice(model=OPUS, rates=OWN))
    run = store.runs.start(NewRun(run_id="r"))
    store.llm_calls.record(NewLLMCall(model=OPUS, tokens=MILLION, run_uuid=run.id, timestamp=AT))
    store.prices.retire(own.id)
    assert store.runs.get("r", with_subtree=True).prices == PriceSources(own=1)
    # What charges the model now is another one.
    assert store.prices.behind() == PriceSources(tables=(store.prices.find(OPUS).source,))
    store.prices.reprice(apply=True)
    assert store.runs.get("r", with_subtree=True).prices == store.prices.behind()
