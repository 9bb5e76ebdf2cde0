"""Prices over REST: everybody sees them, administrators set them, look at what that changes first, and charge anew."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from agentrecord.ids import ProjectId
from agentrecord.records.price import ModelUse, NewPrice, Price, PriceChange, Rates, Repricing
from agentrecord.server.fields import Moment, Name, Rate, nanos_of
from agentrecord.server.identity import administrator_of
from agentrecord.server.routes.common import MISSING, PROBLEMS
from agentrecord.server.wire import StrictRoute, answer, described, model_of, no_query, store_of

router = APIRouter(prefix="/api", tags=["prices"], responses=PROBLEMS, route_class=StrictRoute)


class Prices(BaseModel):
    """The models that were called, with what charges them now, and every price in force."""

    models: list[model_of(ModelUse)]  # type: ignore[valid-type]
    items: list[model_of(Price)]  # type: ignore[valid-type]


class PriceBody(BaseModel):
    """A price to set in the caller's project, in dollars per million tokens; a missing cache price is that of input."""

    model_config = ConfigDict(extra="forbid")

    model: Name = Field(description="A `*` at either end stands for anything", examples=["my-model"])
    host: Name | None = Field(None, description="At this host only", examples=["Anthropic"])
    input_usd: Rate = Field(examples=["3.00"])
    output_usd: Rate = Field(examples=["15.00"])
    cache_read_usd: Rate | None = Field(None, examples=["0.30"])
    cache_write_5m_usd: Rate | None = Field(None, examples=["3.75"])
    cache_write_1h_usd: Rate | None = None
    per_request_usd: Rate | None = Field(None, description="Dollars per call")
    effective_from: Moment | None = Field(
        None, description="In force from then on, from ever without it", examples=["2026-01-01T00:00:00Z"]
    )

    def price(self, project: ProjectId) -> NewPrice:
        """Return the price itself; raises `InvalidValue` for an amount that is none."""
        given = {name: getattr(self, f"{name}_usd") for name in Rates.__dataclass_fields__}
        rates = {name: nanos_of(f"{name}_usd", amount) for name, amount in given.items() if amount is not None}
        return NewPrice(
            model=self.model, host=self.host, rates=Rates(**rates), effective_from=self.effective_from,
            project_id=project,
        )  # fmt: skip


class RepriceBody(BaseModel):
    """Which past calls to charge by today's prices; without `apply` nothing is written."""

    model_config = ConfigDict(extra="forbid")

    since: Moment | None = Field(None, examples=["2026-01-01T00:00:00Z"])
    until: Moment | None = None
    model: Name | None = Field(None, description="Calls to this model only", examples=["my-model"])
    apply: StrictBool = False


@router.get("/prices", response_model=None, responses=described(Prices, "Prices"), dependencies=[Depends(no_query)])
async def list_prices(request: Request) -> Response:
    """Return every model that was called and its price, the unpriced ones first."""
    store = store_of(request)
    return answer({"models": await store.prices.uses(), "items": await store.prices.list()})


@router.post(
    "/prices/preview",
    response_model=None,
    responses=described(model_of(Repricing), "What the price would change"),
    dependencies=[Depends(no_query)],
)
async def preview_price(request: Request, body: Annotated[PriceBody, Body()]) -> Response:
    """Return what a price would change in past calls, and write nothing; for administrators."""
    who = administrator_of(request)
    return answer(await who.store.prices.preview(body.price(who.project)))


@router.post(
    "/prices",
    status_code=201,
    response_model=None,
    responses=described(model_of(PriceChange), "The price, and what it changed", status=201),
    dependencies=[Depends(no_query)],
)
async def set_price(request: Request, body: Annotated[PriceBody, Body()]) -> Response:
    """Set a price and charge past calls to its models anew; for administrators."""
    who = administrator_of(request)
    return answer(await who.store.prices.apply(body.price(who.project), by=who.actor), 201)


@router.delete(
    "/prices/{price_id}", status_code=204, response_model=None, responses=MISSING, dependencies=[Depends(no_query)]
)
async def retire_price(request: Request, price_id: UUID) -> Response:
    """Take one of the project's own prices out of force; calls keep what it charged until they are charged anew."""
    who = administrator_of(request)
    await who.store.prices.retire(price_id, by=who.actor)
    return Response(status_code=204)


@router.post(
    "/reprice",
    response_model=None,
    responses=described(model_of(Repricing), "What changed, or would"),
    dependencies=[Depends(no_query)],
)
async def reprice(request: Request, body: Annotated[RepriceBody, Body()]) -> Response:
    """Return what today's prices would change in past calls; with `apply` change it. For administrators."""
    who = administrator_of(request)
    rows = await who.store.prices.reprice(
        since=body.since, until=body.until, model=body.model, apply=body.apply, by=who.actor
    )
    return answer(Repricing(applied=body.apply, rows=rows))
