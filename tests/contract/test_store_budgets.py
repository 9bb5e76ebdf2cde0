"""Budgets: what is spent and what is reserved never cross a limit, and both are the figures of the reports."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrecord.engine import Connection
from agentrecord.exceptions import Conflict, Forbidden, InvalidValue, NotFound, OverBudget
from agentrecord.ids import new_id
from agentrecord.records.budget import BudgetChanges, BudgetPeriod, NewBudget
from agentrecord.records.llm_call import CallStatus, CostSource, NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.price import NewPrice, Rates, Tier
from agentrecord.records.run import NewRun
from agentrecord.records.scope import Role, Scope
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.usage import UsageBy
from agentrecord.store import Store, messages, reserving
from faces import Facing, covers
from held_clock import HeldClock

DOLLAR = 10**9
PER_TOKEN = Rates(input=DOLLAR, output=2 * DOLLAR)
"""A thousand nano-dollars for a token of input, two thousand for one of output."""


def priced(store: Facing, rates: Rates = PER_TOKEN, tiers: tuple[Tier, ...] = ()) -> None:
    """Set what the model `m` costs."""
    store.prices.set(NewPrice(model="m", rates=rates, tiers=tiers))


def limited(store: Facing, tokens: int, name: str = "b", period: BudgetPeriod = BudgetPeriod.DAY, **more: Any) -> UUID:
    """Make a budget of what so many tokens of input cost."""
    found: UUID = store.budgets.create(NewBudget(name=name, period=period, limit_nanos=tokens * 1000, **more)).id
    return found


def reserved(store: Facing, tokens: int, output: int | None = 0, **more: Any) -> UUID:
    """Reserve a call of so many tokens of input."""
    found: UUID = store.budgets.reserve(model="m", input_tokens=tokens, max_output_tokens=output, **more)
    return found


def recorded(store: Facing, call: UUID | None, tokens: int, **more: Any) -> None:
    """Record a call of so many tokens of input."""
    store.llm_calls.record(NewLLMCall(model="m", id=call, tokens=TokenCounts(input=tokens, output=0), **more))


def figures(store: Facing, budget: UUID) -> tuple[int, int]:
    """Return what is spent and reserved, in tokens of input."""
    found = store.budgets.status(budget)
    return found.spent_nanos // 1000, found.reserved_nanos // 1000


@covers("budgets.create", "budgets.get", "budgets.find", "budgets.list", "budgets.update", "budgets.delete")
def test_a_budget_is_made_found_changed_and_deleted(store: Facing, clock: HeldClock) -> None:
    made = store.budgets.create(
        NewBudget(name="ana's", period=BudgetPeriod.MONTH, limit_nanos=50 * DOLLAR, user="ana", agent_id="coder")
    )
    whole = store.budgets.create(NewBudget(name="all", period=BudgetPeriod.TOTAL, limit_nanos=0, is_active=False))
    assert (made.user, made.agent_id, made.limit_usd, made.allow_unpriced, made.is_active) == (
        "ana", "coder", 50, False, True)  # fmt: skip
    assert (whole.user, whole.user_uuid, whole.agent_id, whole.is_active) == (None, None, None, False)
    assert store.budgets.get(made.id) == made == store.budgets.find("ana's")
    assert store.budgets.find("other") is None
    assert [b.name for b in store.budgets.list()] == ["all", "ana's"]
    clock.advance(seconds=1)
    changed = store.budgets.update(made.id, BudgetChanges(limit_nanos=7, name="hers", period=BudgetPeriod.WEEK))
    assert (changed.limit_nanos, changed.name, changed.period, changed.user) == (7, "hers", BudgetPeriod.WEEK, "ana")
    assert changed.updated_at > changed.created_at == made.created_at
    assert store.budgets.update(made.id, BudgetChanges(name="hers")).name == "hers"
    with pytest.raises(Conflict):
        store.budgets.update(made.id, BudgetChanges(name="all"))
    store.budgets.delete(made.id)
    for gone in (
        lambda: store.budgets.get(made.id), lambda: store.budgets.delete(made.id),
        lambda: store.budgets.status(made.id), lambda: store.budgets.update(made.id, BudgetChanges(limit_nanos=1)),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            gone()
    assert [b.name for b in store.budgets.list()] == ["all"]


def test_a_budget_that_makes_no_sense_is_refused_and_leaves_nothing(store: Facing) -> None:
    limited(store, 1)
    day: Any = BudgetPeriod.DAY
    for wrong in (
        NewBudget(name="", period=day, limit_nanos=1), NewBudget(name="x", period=day, limit_nanos=-1),
        NewBudget(name="x", period=day, limit_nanos=2**62), NewBudget(name="x", period=day, limit_nanos=1, user=""),
        NewBudget(name="x", period="year", limit_nanos=1),  # type: ignore[arg-type]
    ):  # fmt: skip
        with pytest.raises(InvalidValue):
            store.budgets.create(wrong)
    with pytest.raises(Conflict, match="'b' exists already"):
        limited(store, 2)
    for change in (BudgetChanges(limit_nanos=-1), BudgetChanges(name="\n"), BudgetChanges(period="x")):  # type: ignore[arg-type]
        with pytest.raises(InvalidValue):
            store.budgets.update(store.budgets.find("b").id, change)
    assert store.rows_in("ar_budgets") == 1
    assert store.budgets.find("b").limit_nanos == 1000


@covers("budgets.reserve", "budgets.status")
def test_a_call_that_might_cross_the_limit_is_refused_and_nothing_is_stored(store: Facing) -> None:
    priced(store)
    budget = limited(store, 100)
    recorded(store, None, 30)
    reserved(store, 20, 10)
    assert figures(store, budget) == (30, 40)
    with pytest.raises(OverBudget) as told:
        reserved(store, 31)
    assert str(told.value) == (
        "budget 'b' ($0.0001 a day): $0.00003 spent, $0.00004 reserved, $0.000031 asked; "
        "ask for fewer tokens, raise the limit, or wait until 2026-03-05 00:00 UTC"
    )
    error = told.value
    assert (error.budget, error.period, error.limit_nanos, error.spent_nanos, error.reserved_nanos) == (
        "b", "day", 100_000, 30_000, 40_000)  # fmt: skip
    assert (error.asked_nanos, error.field, error.resets_at) == (31_000, "budget", datetime(2026, 3, 5, tzinfo=UTC))
    assert store.rows_in("ar_call_reservations") == 1
    reserved(store, 30)
    standing = store.budgets.status(budget)
    assert (standing.remaining_nanos, standing.open_calls, standing.is_near, standing.is_over) == (0, 2, False, False)
    with pytest.raises(OverBudget):
        reserved(store, 1)


@covers("budgets.open_reservations")
def test_a_recorded_call_takes_the_place_of_its_reservation(store: Facing) -> None:
    priced(store)
    budget = limited(store, 100)
    session = store.sessions.create(NewSession(session_id="s")).id
    run = store.runs.start(NewRun(run_id="r", session_uuid=session)).id
    first, second = (reserved(store, 20, 10, run=run, session=session) for _ in range(2))
    recorded(store, first, 5)
    assert figures(store, budget) == (5, 40)
    call = NewLLMCall(model="m", id=second, tokens=TokenCounts(input=6, output=0))
    store.messages.append(session, [NewMessage(role=MessageRole.ASSISTANT, content="x")], calls=[call])
    assert figures(store, budget) == (11, 0)
    third = reserved(store, 89, run=run)
    (left,) = store.budgets.open_reservations(run=run)
    assert (left.id, left.model, left.run_uuid, left.session_uuid, left.amount_nanos, left.max_output_tokens) == (
        third, "m", run, None, 89_000, 0)  # fmt: skip
    assert store.budgets.open_reservations() == (left,)
    assert store.budgets.open_reservations(run=session) == ()
    recorded(store, third, 0, status=CallStatus.ERROR)
    recorded(store, third, 0, status=CallStatus.ERROR)
    assert figures(store, budget) == (11, 0)
    assert store.budgets.open_reservations() == ()


@covers("budgets.release")
def test_a_released_reservation_is_free_again_and_may_be_released_twice(store: Facing) -> None:
    priced(store)
    budget = limited(store, 100)
    call = reserved(store, 100)
    with pytest.raises(OverBudget):
        reserved(store, 1)
    for _ in range(2):
        store.budgets.release(call)
        assert figures(store, budget) == (0, 0)
    reserved(store, 100)


def test_the_same_reservation_again_is_one_and_another_under_its_id_is_refused(store: Facing) -> None:
    priced(store)
    budget = limited(store, 100)
    call = new_id()
    assert reserved(store, 60, call=call) == call == reserved(store, 60, call=call)
    assert figures(store, budget) == (0, 60)
    with pytest.raises(Conflict):
        reserved(store, 61, call=call)
    recorded(store, call, 1)
    with pytest.raises(Conflict, match="recorded already"):
        reserved(store, 60, call=call)
    assert figures(store, budget) == (1, 0)


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        (BudgetPeriod.DAY, datetime(2026, 3, 4, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)),
        (BudgetPeriod.WEEK, datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)),
        (BudgetPeriod.MONTH, datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)),
    ],
)
def test_a_period_counts_from_its_first_microsecond_to_before_the_next(
    store: Facing, clock: HeldClock, period: BudgetPeriod, start: datetime, end: datetime
) -> None:
    priced(store)
    budget, whole = limited(store, 100, period=period), limited(store, 10**6, "all", period=BudgetPeriod.TOTAL)
    tick = timedelta(microseconds=1)
    for number, at in enumerate((start - tick, start, end - tick, end)):
        recorded(store, None, 10**number, timestamp=at)
    assert figures(store, budget) == (110, 0)
    assert figures(store, whole) == (1111, 0)
    standing = store.budgets.status(budget)
    assert (standing.start_at, standing.end_at) == (start, end)
    assert (standing.is_used_up, standing.is_over, standing.remaining_nanos) == (True, True, 0)
    with pytest.raises(OverBudget):
        reserved(store, 1)
    clock.at = end
    assert figures(store, budget) == (1000, 0)
    total = store.budgets.status(whole)
    assert (total.start_at, total.end_at, total.is_near) == (None, None, False)


def test_what_is_reserved_before_midnight_counts_until_it_is_recorded(store: Facing, clock: HeldClock) -> None:
    priced(store)
    budget = limited(store, 100)
    clock.at = datetime(2026, 3, 4, 23, 59, 59, tzinfo=UTC)
    call = reserved(store, 90)
    clock.advance(seconds=2)
    assert figures(store, budget) == (0, 90)
    with pytest.raises(OverBudget):
        reserved(store, 11)
    recorded(store, call, 90)
    assert figures(store, budget) == (90, 0)


def test_months_end_where_they_end() -> None:
    def end(year: int, month: int, day: int) -> datetime | None:
        return BudgetPeriod.MONTH.bounds(datetime(year, month, day, 12, tzinfo=UTC))[1]

    assert end(2026, 12, 31) == datetime(2027, 1, 1, tzinfo=UTC)
    assert end(2028, 2, 29) == datetime(2028, 3, 1, tzinfo=UTC)
    assert end(2026, 1, 1) == datetime(2026, 2, 1, tzinfo=UTC)
    ahead = datetime(2026, 3, 9, 0, 30, tzinfo=UTC).astimezone()
    assert BudgetPeriod.WEEK.bounds(ahead)[0] == datetime(2026, 3, 9, tzinfo=UTC)
    assert BudgetPeriod.WEEK.bounds(datetime(2026, 3, 8, 23, 59, tzinfo=UTC))[0] == datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("user", "agent", "counted"),
    [(None, None, 1111), ("ana", None, 11), (None, "coder", 101), ("ana", "coder", 1), ("zoe", None, 0)],
)
def test_a_budget_limits_those_whom_it_names(store: Facing, user: str | None, agent: str | None, counted: int) -> None:
    priced(store)
    budget = limited(store, 4000, user=user, agent_id=agent)
    people = [("ana", "coder"), ("ana", "writer"), ("ben", "coder"), ("ben", None)]
    for number, (who, what) in enumerate(people):
        store.llm_calls.record(
            NewLLMCall(model="m", agent_id=what, tokens=TokenCounts(input=10**number, output=0)), user=who
        )
        reserved(store, 10**number, user=who, agent_id=what)
    assert figures(store, budget) == (counted, counted)
    for who, what in people:
        applies = user in (None, who) and agent in (None, what)
        if applies:
            with pytest.raises(OverBudget):
                reserved(store, 4001 - 2 * counted, user=who, agent_id=what)
        call = reserved(store, 4000 - 2 * counted if applies else 4001, user=who, agent_id=what)
        store.budgets.release(call)


def test_a_call_that_names_nobody_is_charged_to_whom_it_was_reserved_for(store: Facing) -> None:
    priced(store)
    budget = limited(store, 100, user="ana", agent_id="coder")
    recorded(store, reserved(store, 30, user="ana", agent_id="coder"), 30)
    session = store.sessions.create(NewSession(session_id="s"), user="ana").id
    run = store.runs.start(NewRun(run_id="r", session_uuid=session, agent_id="coder")).id
    call = NewLLMCall(
        model="m", id=reserved(store, 40, run=run, session=session), tokens=TokenCounts(input=40, output=0)
    )
    store.messages.append(session, [NewMessage(role=MessageRole.ASSISTANT, content="x")], calls=[call])
    assert figures(store, budget) == (70, 0)
    mine = reserved(store, 10, user="ana", agent_id="coder")
    store.llm_calls.record(NewLLMCall(model="m", id=mine, tokens=TokenCounts(input=10, output=0)), user="ben")
    assert figures(store, budget) == (70, 0)


def test_every_budget_that_applies_must_hold_the_call(store: Facing) -> None:
    priced(store)
    limited(store, 100, "all")
    limited(store, 50, "ana's", user="ana")
    off = limited(store, 1, "off", is_active=False)
    with pytest.raises(OverBudget, match="ana's"):
        reserved(store, 51, user="ana")
    reserved(store, 50, user="ana")
    with pytest.raises(OverBudget, match="'all'"):
        reserved(store, 51, user="ben")
    store.budgets.update(off, BudgetChanges(is_active=True))
    with pytest.raises(OverBudget, match="'off'"):
        reserved(store, 2, user="ben")


def test_the_agent_and_the_user_are_those_of_the_session_and_the_run(store: Facing) -> None:
    priced(store)
    budget = limited(store, 100, user="ana", agent_id="coder")
    session = store.sessions.create(NewSession(session_id="s", agent_id="coder"), user="ana").id
    call = reserved(store, 60, session=session)
    (found,) = store.budgets.open_reservations()
    assert (found.user_uuid, found.session_uuid) == (store.sessions.get("s").user_uuid, session)
    assert figures(store, budget) == (0, 60)
    recorded(store, call, 60, session_uuid=session)
    assert figures(store, budget) == (60, 0)
    with pytest.raises(NotFound):
        reserved(store, 1, session=new_id())


def test_a_call_of_unknown_cost_passes_only_where_every_budget_allows_it(store: Facing) -> None:
    priced(store)
    unbounded: Callable[[], UUID] = lambda: reserved(store, 10, None)  # noqa: E731
    unpriced: Callable[[], UUID] = lambda: store.budgets.reserve(  # noqa: E731
        model="mystery", input_tokens=10, max_output_tokens=1
    )
    assert [store.budgets.release(call) for call in (unbounded(), unpriced())]
    strict, lenient = limited(store, 100), limited(store, 100, "lenient", allow_unpriced=True)
    for ask, field, mend in (
        (unbounded, "max_output_tokens", "give max_output_tokens"),
        (unpriced, "model", "set one"),
    ):
        with pytest.raises(OverBudget, match=mend) as told:
            ask()
        assert (told.value.field, told.value.asked_nanos, told.value.budget) == (field, None, "b")
    store.budgets.update(strict, BudgetChanges(allow_unpriced=True))
    for ask in (unbounded, unpriced):
        ask()
    assert [r.amount_nanos for r in store.budgets.open_reservations()] == [None, None]
    standing = store.budgets.status(lenient)
    assert (standing.reserved_nanos, standing.open_calls, standing.unpriced_calls) == (0, 2, 0)
    store.llm_calls.record(NewLLMCall(model="mystery", tokens=TokenCounts(input=1, output=1)))
    assert store.budgets.status(lenient).unpriced_calls == 1
    recorded(store, None, 100)
    with pytest.raises(OverBudget):
        unbounded()
    unpriced()


def test_what_is_free_needs_no_bound(store: Facing) -> None:
    priced(store, Rates(input=0, output=0))
    budget = limited(store, 0)
    call = reserved(store, 10**6, None)
    recorded(store, call, 10**6)
    assert figures(store, budget) == (0, 0)
    assert store.budgets.status(budget).is_over is False
    store.llm_calls.record(NewLLMCall(model="dear", cost_nanos=1))
    assert store.budgets.status(budget).is_over is True
    reserved(store, 1)


def test_what_was_spent_earlier_in_the_same_transaction_counts(store: Facing) -> None:
    priced(store)
    budget = limited(store, 100)
    session = store.sessions.create(NewSession(session_id="s")).id
    said = NewMessage(role=MessageRole.USER, content="x")

    def spend_and_ask(conn: Connection, scope: Scope, ask: int) -> None:
        call = NewLLMCall(model="m", tokens=TokenCounts(input=60, output=0))
        messages.append(conn, scope, session, [said], calls=[call])
        for _ in range(2):
            reserving.reserve(conn, scope, model="m", input_tokens=ask, max_output_tokens=0)

    with pytest.raises(OverBudget) as told:
        store.run(spend_and_ask, 21)
    assert (told.value.spent_nanos, told.value.reserved_nanos) == (60_000, 21_000)
    assert figures(store, budget) == (0, 0)
    store.run(spend_and_ask, 20)
    assert figures(store, budget) == (60, 40)


def test_a_reservation_is_for_the_dearest_that_the_call_can_cost(store: Facing) -> None:
    cached = Rates(input=DOLLAR, cache_read=DOLLAR // 10, cache_write_1h=2 * DOLLAR, output=DOLLAR, per_request=7000)
    long = Tier(above_input_tokens=200, rates=Rates(input=3 * DOLLAR, output=5 * DOLLAR))
    priced(store, cached, (long,))
    for tokens, amount in ((200, 200 * 2 + 10 + 7), (201, 201 * 3 + 10 * 5)):
        call = reserved(store, tokens, 10)
        (found,) = store.budgets.open_reservations()
        assert found.amount_nanos == amount * 1000
        worst = store.llm_calls.record(
            NewLLMCall(model="m", id=call, tokens=TokenCounts(input=0, cache_write_1h=tokens, output=10))
        )
        assert worst.cost_nanos == found.amount_nanos


def test_without_a_budget_a_reservation_is_kept_all_the_same(store: Facing) -> None:
    priced(store)
    call = reserved(store, 10, 5)
    (found,) = store.budgets.open_reservations()
    assert (found.id, found.amount_nanos, found.amount_usd is not None) == (call, 20_000, True)


def test_a_reservation_that_makes_no_sense_is_refused_and_leaves_nothing(store: Facing) -> None:
    for wrong in (
        {"model": ""}, {"host": "\0"}, {"input_tokens": -1}, {"max_output_tokens": -1}, {"input_tokens": 2**40},
        {"user": ""}, {"agent_id": "\n"},
    ):  # fmt: skip
        with pytest.raises(InvalidValue):
            store.budgets.reserve(**{"model": "m", "input_tokens": 1, "max_output_tokens": 1, **wrong})
    assert store.rows_in("ar_call_reservations") == 0 == store.rows_in("ar_agents")


@covers("budgets.statuses")
def test_how_all_budgets_stand_is_told_by_name_and_is_what_the_report_says(store: Facing) -> None:
    priced(store)
    for number, name in enumerate(("c", "a", "b")):
        limited(store, 100, name, user=f"u{number}")
        for _ in range(2):
            store.llm_calls.record(
                NewLLMCall(model="m", tokens=TokenCounts(input=40 + number, output=0)), user=f"u{number}"
            )
    first = store.budgets.statuses(limit=2)
    second = store.budgets.statuses(limit=2, cursor=first.next_cursor)
    shown = [*first, *second]
    assert [s.budget.name for s in shown] == ["a", "b", "c"]
    assert (first.total, second.next_cursor) == (3, None)
    spent = {row.key: row.totals.cost_nanos for row in store.usage.report(UsageBy.USER).rows}
    assert {s.budget.user: s.spent_nanos for s in shown} == spent
    assert [(s.is_near, s.is_used_up) for s in shown] == [(True, False)] * 3
    assert store.scoped(user="u1").budgets.statuses().items == [shown[0]]


@covers("budgets.near")
def test_the_budgets_that_are_nearly_used_up_are_told_least_left_first(store: Facing) -> None:
    priced(store)
    spent = {"far": 799, "near": 800, "full": 1000, "over": 1001, "off": 2000}
    for name, tokens in spent.items():
        limited(store, 1000, name, user=name, is_active=name != "off")
        store.llm_calls.record(NewLLMCall(model="m", tokens=TokenCounts(input=tokens, output=0)), user=name)
    assert [s.budget.name for s in store.budgets.near()] == ["over", "full", "near"]
    assert [s.budget.name for s in store.budgets.near(limit=1)] == ["over"]
    assert {s.budget.name: s.is_near for s in store.budgets.statuses()} == {
        name: tokens >= 800 for name, tokens in spent.items()}  # fmt: skip
    assert store.scoped(user="far").budgets.near() == ()


def test_calls_that_never_asked_may_overshoot_and_the_budget_says_so(store: Facing) -> None:
    priced(store)
    budget = limited(store, 100)
    recorded(store, None, 150)
    standing = store.budgets.status(budget)
    assert (standing.is_over, standing.remaining_usd, standing.share) == (True, 0, 1.5)
    store.budgets.update(budget, BudgetChanges(limit_nanos=0))
    assert store.budgets.status(budget).share == 1.0


def test_repricing_changes_what_a_budget_has_spent(store: Facing) -> None:
    budget = limited(store, 100)
    recorded(store, None, 10)
    assert (figures(store, budget), store.budgets.status(budget).unpriced_calls) == ((0, 0), 1)
    priced(store)
    store.prices.reprice(apply=True)
    assert (figures(store, budget), store.budgets.status(budget).unpriced_calls) == ((10, 0), 0)


def test_a_user_sees_the_budgets_that_apply_to_them_and_changes_none_of_others(store: Facing) -> None:
    priced(store)
    whole, anas = limited(store, 100, "all"), limited(store, 100, "ana's", user="ana")
    ana, ben = (store.scoped(user=name, role=Role.ADMIN) for name in ("ana", "ben"))
    assert [b.name for b in ana.budgets.list()] == ["all", "ana's"]
    assert [b.name for b in ben.budgets.list()] == ["all"]
    assert ben.budgets.find("ana's") is None
    for user, budget in ((ana, whole), (ben, whole), (ben, anas)):
        with pytest.raises(NotFound):
            user.budgets.update(budget, BudgetChanges(limit_nanos=10**9))
        with pytest.raises(NotFound):
            user.budgets.delete(budget)
    own = ben.budgets.create(NewBudget(name="mine", period=BudgetPeriod.DAY, limit_nanos=1))
    assert own.user == "ben"
    with pytest.raises(Forbidden):
        ben.budgets.create(NewBudget(name="hers", period=BudgetPeriod.DAY, limit_nanos=1, user="ana"))
    call = reserved(ana, 10)
    ben.budgets.release(call)
    assert ben.budgets.open_reservations() == ()
    with pytest.raises(Conflict):
        reserved(ben, 10, call=call)
    assert [r.id for r in ana.budgets.open_reservations()] == [call]
    with pytest.raises(Forbidden):
        store.scoped(role=Role.WRITE).budgets.create(NewBudget(name="x", period=BudgetPeriod.DAY, limit_nanos=1))


def test_a_call_of_which_nobody_knows_the_cost_counts_with_its_bound_until_its_period_ends(
    store: Facing, clock: HeldClock
) -> None:
    priced(store)
    day, ever = limited(store, 100), limited(store, 1000, "ever", BudgetPeriod.TOTAL)
    call = reserved(store, 60, 10)
    for _ in range(2):
        store.llm_calls.record(NewLLMCall(model="m", id=call, status=CallStatus.ERROR))
        assert [figures(store, budget) for budget in (day, ever)] == [(0, 80), (0, 80)]
    assert (store.budgets.status(day).open_calls, store.budgets.status(day).unpriced_calls) == (0, 1)
    assert store.budgets.open_reservations() == ()
    store.budgets.release(call)
    with pytest.raises(OverBudget):
        reserved(store, 21)
    with pytest.raises(Conflict, match="recorded already"):
        reserved(store, 60, 10, call=call)
    clock.advance(days=1)
    store.llm_calls.record(NewLLMCall(model="m", id=call, status=CallStatus.ERROR))
    assert [figures(store, budget) for budget in (day, ever)] == [(0, 0), (0, 80)]
    reserved(store, 100)


def test_a_call_that_was_cut_off_counts_as_what_it_used_once_that_is_told(store: Facing) -> None:
    priced(store)
    budget = limited(store, 100)
    call = reserved(store, 60)
    cut_off = NewLLMCall(model="m", id=call, dedup_key="d", status=CallStatus.ERROR)
    store.llm_calls.record(cut_off)
    assert figures(store, budget) == (0, 60)
    store.llm_calls.record(NewLLMCall(model="m", dedup_key="d", tokens=TokenCounts(input=7, output=0)))
    assert (figures(store, budget), store.rows_in("ar_call_reservations")) == ((7, 0), 0)
    store.llm_calls.record(cut_off)
    assert (figures(store, budget), store.rows_in("ar_call_reservations")) == ((7, 0), 0)


@covers("runs.close_abandoned")
def test_calls_of_a_run_that_died_are_recorded_as_failed_and_stay_counted(store: Facing, clock: HeldClock) -> None:
    priced(store)
    budget = limited(store, 100)
    session = store.sessions.create(NewSession(session_id="s")).id
    gone = store.sessions.create(NewSession(session_id="gone")).id
    runs = [store.runs.start(NewRun(run_id=f"r{n}", session_uuid=s)).id for n, s in enumerate((session, gone, None))]
    calls = [reserved(store, 20, run=run) for run in runs]
    for run in runs:
        store.runs.heartbeat(run, alive_s=10)
    store.sessions.delete("gone")
    clock.advance(seconds=11)
    assert {run.id for run in store.runs.close_abandoned()} == set(runs)
    found = [store.llm_calls.get(call) for call in calls]
    assert [(c.status, c.run_uuid, c.session_uuid, c.cost_nanos) for c in found] == [
        (CallStatus.ERROR, run, s, None) for run, s in zip(runs, (session, None, None), strict=True)
    ]
    assert [store.runs.get(run).usage.calls for run in runs] == [1, 1, 1]
    assert (store.budgets.open_reservations(), figures(store, budget)) == ((), (0, 60))
    clock.advance(days=1)
    assert figures(store, budget) == (0, 0)


def test_a_call_that_answers_by_another_name_is_charged_as_the_model_that_was_asked(store: Facing) -> None:
    priced(store)
    budget = limited(store, 100)
    call = reserved(store, 60)
    new = NewLLMCall(model="m-as-served", host="elsewhere", id=call, tokens=TokenCounts(input=7, output=0))
    found = store.llm_calls.record(new)
    assert (found.model, found.cost_nanos, found.cost_source) == ("m-as-served", 7000, CostSource.PRICE)
    assert figures(store, budget) == (7, 0)
    assert store.llm_calls.record(new) == found
    store.prices.reprice(apply=True)
    assert (figures(store, budget), store.llm_calls.get(call).cost_nanos) == ((7, 0), 7000)
    store.prices.set(NewPrice(model="m", rates=Rates(input=2 * DOLLAR, output=0)))
    store.prices.reprice(apply=True)
    assert figures(store, budget) == (14, 0)


def test_repricing_a_call_of_unknown_cost_lifts_its_hold(store: Facing) -> None:
    price = store.prices.set(NewPrice(model="m", rates=PER_TOKEN))
    budget = limited(store, 100)
    call = reserved(store, 60)
    store.prices.retire(price.id)
    recorded(store, call, 7)
    assert figures(store, budget) == (0, 60)
    priced(store)
    store.prices.reprice()
    assert figures(store, budget) == (0, 60)
    store.prices.reprice(apply=True)
    assert (figures(store, budget), store.rows_in("ar_call_reservations")) == ((7, 0), 0)


def test_a_call_without_an_id_of_its_own_costs_no_statement_more(store: Facing) -> None:
    priced(store)
    session = store.sessions.create(NewSession(session_id="s")).id
    call = NewLLMCall(model="m", tokens=TokenCounts(input=1, output=0))
    sent: list[str] = []
    before, store.engine.observer = store.engine.observer, sent.append
    store.messages.append(session, [NewMessage(role=MessageRole.USER, content="x")], calls=[call])
    store.llm_calls.record(call)
    store.engine.observer = before
    assert [sql for sql in sent if "ar_call_reservations" in sql or "ar_budgets" in sql] == []


STEP = st.tuples(
    st.sampled_from(["reserve", "record", "release", "midnight"]),
    st.integers(0, 60), st.integers(0, 20), st.integers(0, 100), st.sampled_from(["ana", "ben"]),
)  # fmt: skip


class Spender:
    """Reserves, records at most what it reserved, and releases, in any order."""

    def __init__(self, store: Store, clock: HeldClock) -> None:
        """Start with nothing reserved."""
        self.store = store
        self.clock = clock
        self.open: list[tuple[UUID, int, int, str]] = []

    def do(self, what: str, tokens: int, output: int, share: int, user: str) -> None:
        """Take one step; what is refused is left."""
        if what == "midnight":
            self.clock.advance(days=1)
        elif what == "reserve":
            with suppress(OverBudget):
                call = self.store.budgets.reserve(model="m", input_tokens=tokens, max_output_tokens=output, user=user)
                self.open.append((call, tokens, output, user))
        elif self.open:
            call, tokens, output, user = self.open.pop(share % len(self.open))
            if what == "release":
                self.store.budgets.release(call)
            else:
                actual = TokenCounts(input=tokens * share // 100, output=output * share // 100)
                self.store.llm_calls.record(NewLLMCall(model="m", id=call, tokens=actual), user=user)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, max_size=25))
def test_whatever_is_reserved_recorded_and_released_no_limit_is_crossed(steps: list[tuple[Any, ...]]) -> None:
    clock = HeldClock()
    with Store("memory:", clock=clock) as store:
        store.prices.set(NewPrice(model="m", rates=PER_TOKEN))
        limits = [
            store.budgets.create(NewBudget(name=f"{period} {user}", period=period, limit_nanos=limit, user=user)).id
            for period, limit in ((BudgetPeriod.DAY, 100_000), (BudgetPeriod.TOTAL, 180_000))
            for user in (None, "ana")
        ]
        spender = Spender(store, clock)
        for step in steps:
            spender.do(*step)
            for budget in limits:
                standing = store.budgets.status(budget)
                assert standing.spent_nanos + standing.reserved_nanos <= standing.budget.limit_nanos
