"""Prices in pages and over REST: what one changes is seen first, then written, and the trail says by whom."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest
from page_fixtures import START, Filled, call, dead_links, served, signed_in
from starlette.testclient import TestClient
from test_sign_in import OWN_PAGE

from agentrecord.dashboard import formats
from agentrecord.records.budget import BudgetPeriod, NewBudget
from agentrecord.records.usage import UsageBy, UsageTotals

Site = tuple[TestClient, Filled]
FORM = {"model": "acme-local-70b", "input": "2", "output": "$4.50", "cache_read": "0.000000001"}
BODY = {"model": "acme-local-70b", "input_usd": "2", "output_usd": 4.5}


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as (client, filled):
        assert filled is not None
        yield signed_in(client), filled


def text(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def whole(filled: Filled) -> UsageTotals:
    return filled.store.usage.report(UsageBy.TOTAL).total


def test_of_many_models_the_first_hundred_are_listed_and_the_page_says_so(site: Site) -> None:
    client, filled = site
    for number in range(120):
        filled.store.llm_calls.record(call(filled.run, f"tried-{number:03}", 1, 1, at=START))
    total = len(filled.store.prices.uses())
    page = client.get("/prices").text
    assert f"100 of {total} are shown; agentrecord prices lists all" in text(page).replace(" ;", ";")
    assert page.count("tried-") < 120 * 3
    assert "tried-119" in client.get("/prices?model=tried-119").text


def test_the_form_shows_what_a_price_changes_then_sets_it_and_every_total_follows(site: Site) -> None:
    client, filled = site
    before = whole(filled)
    shown = client.post("/prices/preview", data=FORM, headers=OWN_PAGE)
    assert shown.status_code == 200
    assert "Changes +$0.0012 in 1 of 1 call ; 1 call would have a price for the first time" in text(shown.text)
    assert (whole(filled), filled.store.prices.find("acme-local-70b")) == (before, None)
    assert dead_links(client, shown) == []
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', shown.text))
    assert hidden == FORM
    done = client.post("/prices", data=hidden, headers=OWN_PAGE)
    assert "The price of acme-local-70b is set It changed 1 call of 1 by +$0.0012" in text(done.text)
    after = whole(filled)
    assert after.unpriced_calls == 0
    # 500 tokens at $2 a million, 50 at $4.50, and 2,000 from the cache at a nano-dollar a million.
    assert after.cost_nanos - before.cost_nanos == 1_000_000 + 225_000
    assert "without a price" not in text(client.get("/cost?since=all").text)
    assert "acme-local-70b local $2.00" in text(client.get("/prices").text)
    actions = [(entry.action, entry.actor) for entry in filled.store.audit.list().items]
    assert ("price.set", "this computer") in actions
    assert ("price.reprice", "this computer") in actions


def test_without_calls_that_it_charges_a_price_says_that_nothing_changes(site: Site) -> None:
    client, _ = site
    shown = client.post("/prices/preview", data={**FORM, "model": "never-called"}, headers=OWN_PAGE)
    assert "No call made before would cost anything else" in text(shown.text)
    assert "$0 " not in text(shown.text).partition("What this price")[2].partition("Leave it")[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"input": "cheap"}, "is no amount"), ({"input": "-1"}, "rates.input"), ({"output": "1e99"}, "must be dollars"),
        ({"input": "0.0000000001"}, "at most nine decimals"), ({"from": "tomorrow"}, "is no date"),
        ({"model": ""}, "model"),
        ({"input": "", "output": ""}, "name at least"), ({"input": "9999999"}, "rates.input"),
    ],
)  # fmt: skip
def test_a_price_that_is_refused_says_why_keeps_what_was_typed_and_writes_nothing(
    site: Site, change: dict[str, str], said: str
) -> None:
    client, filled = site
    for path in ("/prices/preview", "/prices"):
        answer = client.post(path, data={**FORM, "cache_read": "0.125", **change}, headers=OWN_PAGE)
        assert (answer.status_code, said in answer.text) == (422, True), path
        assert 'value="0.125"' in answer.text
    assert (filled.store.prices.find("acme-local-70b"), whole(filled).unpriced_calls) == (None, 1)


def test_no_other_site_sets_a_price(site: Site) -> None:
    client, filled = site
    for headers in ({"origin": "http://elsewhere.example"}, {"sec-fetch-site": "cross-site"}):
        for path in ("/prices", "/prices/preview"):
            assert client.post(path, data=FORM, headers=headers).status_code == 403
    assert filled.store.prices.find("acme-local-70b") is None


def test_over_rest_a_price_is_previewed_set_and_retired_and_the_past_charged_anew(site: Site) -> None:
    client, filled = site
    shown = client.post("/api/prices/preview", json=BODY, headers=OWN_PAGE).json()
    assert (shown["applied"], shown["changed_calls"], shown["priced_calls"]) == (False, 1, 1)
    assert whole(filled).unpriced_calls == 1
    made = client.post("/api/prices", json=BODY, headers=OWN_PAGE)
    assert made.status_code == 201
    assert made.json()["repricing"]["change_nanos"] == shown["change_nanos"]
    price = made.json()["price"]
    assert price["id"] in {item["id"] for item in client.get("/api/prices").json()["items"]}
    assert client.delete(f"/api/prices/{price['id']}", headers=OWN_PAGE).status_code == 204
    assert client.delete(f"/api/prices/{price['id']}", headers=OWN_PAGE).status_code == 404
    assert whole(filled).unpriced_calls == 0
    tried = client.post("/api/reprice", json={"model": "acme-local-70b"}, headers=OWN_PAGE).json()
    assert (tried["applied"], tried["changed_calls"], tried["priced_calls"]) == (False, 1, -1)
    assert whole(filled).unpriced_calls == 0
    done = client.post("/api/reprice", json={"model": "acme-local-70b", "apply": True}, headers=OWN_PAGE).json()
    assert (done["applied"], done["change_nanos"]) == (True, -shown["change_nanos"])
    assert whole(filled).unpriced_calls == 1


def test_the_forecast_is_what_was_spent_and_the_mean_of_the_last_whole_days_for_each_day_left(site: Site) -> None:
    client, filled = site
    assert client.get("/api/usage/outlook").json()["month"]["cost_nanos"] is None
    # It is 9:00 on 3 March 2026, and the first call was made a day ago: no whole day tells what a day costs.
    assert "Month's end – needs a whole day of calls" in text(client.get("/cost").text)
    filled.store.llm_calls.record(call(filled.run, "claude-opus-4-5", 1000, 1000, at=START - timedelta(days=3)))
    month = filled.store.usage.report(UsageBy.TOTAL, since=START.replace(day=1, hour=0)).total.cost_nanos
    # 28 days and 15 hours are left; of the three whole days since the day of the first call one cost something.
    expected = month + round(month / 3 * (28 + 15 / 24))
    shown = text(client.get("/cost").text)
    assert f"Month's end ≈ ${expected / 10**9:.4f}" in shown
    assert "so far in March, without calls that have no price" in shown
    told = client.get("/api/usage/outlook?since=2026-03-01T00:00:00Z").json()
    assert (told["month"]["month"], told["month"]["cost_nanos"], told["month"]["days"]) == ("2026-03-01", expected, 3)
    assert told["month"]["spent"]["cost_nanos"] == month
    saved = told["saved_by_cache"]
    tile = f"Saved by cache {formats.money(saved['cost_nanos'])} {formats.percent(saved['cached_share'])} of input"
    assert tile in text(client.get("/cost?from=2026-03-01").text)
    assert saved["unpriced_models"] == 1
    filled.store.llm_calls.record(call(filled.run, "claude-opus-4-5", 1000, 1000, at=START - timedelta(days=90)))
    week = filled.store.usage.report(UsageBy.TOTAL, since=START - timedelta(days=6, hours=9)).total.cost_nanos
    expected = month + round(week / 7 * (28 + 15 / 24))
    assert f"Month's end ≈ ${expected / 10**9:.4f}" in text(client.get("/cost").text)


def test_a_days_budget_is_a_line_across_the_days_and_one_far_above_them_is_not(site: Site) -> None:
    client, filled = site
    spent = whole(filled).cost_nanos
    for name, limit, period in (("near", spent * 2, BudgetPeriod.DAY), ("far", spent * 100, BudgetPeriod.DAY),
                                ("month", spent, BudgetPeriod.MONTH)):  # fmt: skip
        filled.store.budgets.create(NewBudget(name=name, period=period, limit_nanos=limit))
    page = client.get("/cost?since=7d").text
    assert re.findall(r'class="tick limit-text"[^>]*>([^<]*)<', page) == ["budget near"]


def test_a_session_names_its_calls_that_cost_much(site: Site) -> None:
    client, filled = site
    filled.store.llm_calls.record(call(filled.run, "claude-opus-4-5", 50_000, 9_000, at=START, session=filled.session))
    drivers = text(client.get("/s/s-1").text).partition("Cost drivers")[2].partition("Tokens by class")[0]
    assert "1 call over $0.05" in drivers
    assert "turn 1 = $" in drivers
    assert "of input from cache" in drivers
