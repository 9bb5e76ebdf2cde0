"""The pages of money: the overview, what was spent, and prices."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from agentrecord.dashboard import cost, filters, overview, prices
from agentrecord.exceptions import AgentRecordError, InvalidValue
from agentrecord.ids import ProjectId
from agentrecord.records.page import MAX_PAGE
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.usage import UsageBy
from agentrecord.server.fields import nanos_of
from agentrecord.server.forms import form_of
from agentrecord.server.identity import Identity, administrator_of, identity_of
from agentrecord.server.problems import of_error
from agentrecord.server.shown import page
from agentrecord.server.wire import store_of
from agentrecord.store import AsyncStore

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

STRETCH = ("since", "from", "to")
FORM = ("model", "host", "from", *[name for name, _ in prices.RATES])
COST = ("by", "split", "subagents", "sort", *STRETCH)


@router.get("/")
async def show_overview(request: Request) -> HTMLResponse:
    """Show what was spent, by what, how runs ended, and what needs attention."""
    store, asked = store_of(request), filters.checked(request.query_params, STRETCH)
    context = await overview.overview(store, asked, store.engine.maker.clock.now())
    return page(request, "overview.html", context, active="overview", asked=asked)


@router.get("/cost")
async def show_cost(request: Request) -> HTMLResponse:
    """Show what was spent."""
    store, asked = store_of(request), filters.checked(request.query_params, COST)
    projects = await _projects(request) if asked.get("by") == UsageBy.PROJECT else None
    context = await cost.cost(store, asked, store.engine.maker.clock.now(), projects)
    return page(request, "cost.html", context, active="cost", asked=asked)


async def _projects(request: Request) -> dict[str, AsyncStore]:
    """Return the projects that the caller may choose from, each as they would see it; none where there is but one."""
    who = identity_of(request)
    if not who.projects:
        return {}
    found = await who.store.projects.list(limit=MAX_PAGE)
    scope = who.store.scope
    return {one.name: AsyncStore(engine=who.store.engine, scope=replace(scope, project=one.id)) for one in found}


@router.get("/prices")
async def show_prices(request: Request) -> HTMLResponse:
    """Show what models cost, and where to set a price."""
    asked = filters.checked(request.query_params, ("model",))
    context = await prices.prices(store_of(request), asked)
    return page(request, "prices.html", context, active="prices", asked=asked)


def _given(form: Mapping[str, str], project: ProjectId) -> NewPrice:
    """Return the price that the form describes, of the project of whoever sent it."""
    return NewPrice(
        model=form.get("model", ""),
        host=form.get("host"),
        rates=Rates(**{name: _rate(name, form[name]) for name, _ in prices.RATES if name in form}),
        effective_from=_day(form.get("from")),
        project_id=project,
    )


def _rate(name: str, text: str) -> int:
    try:
        amount = Decimal(text.removeprefix("$").strip())
    except InvalidOperation:
        raise InvalidValue(name, text, "is no amount; write dollars per million tokens as in 2.50") from None
    return nanos_of(name, amount)


def _day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidValue("from", text, "is no date; write it as in 2026-01-31") from None


@router.post("/prices/preview")
async def preview_price(request: Request) -> HTMLResponse:
    """Show what a price would change, before anything is written."""
    who, form = administrator_of(request), await form_of(request, *FORM)
    try:
        new = _given(form, who.project)
        shown = prices.Preview(new=new, repricing=await who.store.prices.preview(new))
    except AgentRecordError as error:
        return await _again(request, who, form, error)
    context = await prices.prices(who.store, form, preview=shown)
    return page(request, "prices.html", context, active="prices", asked={}, at="/prices")


@router.post("/prices")
async def set_price(request: Request) -> HTMLResponse:
    """Set a price, charge past calls anew, and show what that changed."""
    who, form = administrator_of(request), await form_of(request, *FORM)
    try:
        done = await who.store.prices.apply(_given(form, who.project), by=who.actor)
    except AgentRecordError as error:
        return await _again(request, who, form, error)
    context = await prices.prices(who.store, {}, done=done)
    return page(request, "prices.html", context, active="prices", asked={})


async def _again(request: Request, who: Identity, form: Mapping[str, str], error: AgentRecordError) -> HTMLResponse:
    """Return the page with its form once more, and why it was not carried out."""
    told, headers = of_error(error)
    context = await prices.prices(who.store, form, refused=told.detail)
    shown = page(request, "prices.html", context, active="prices", asked={}, status=told.status, at="/prices")
    shown.headers.update(headers)
    return shown
