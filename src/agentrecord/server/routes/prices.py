"""Prices over REST."""

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from agentrecord.records.price import ModelUse, Price
from agentrecord.server.routes.common import PROBLEMS
from agentrecord.server.wire import answer, described, model_of, no_query, store_of

router = APIRouter(prefix="/api/prices", tags=["prices"], responses=PROBLEMS)


class Prices(BaseModel):
    """The models that were called, with what charges them now, and every price in force."""

    models: list[model_of(ModelUse)]  # type: ignore[valid-type]
    items: list[model_of(Price)]  # type: ignore[valid-type]


@router.get("", response_model=None, responses=described(Prices, "Prices"), dependencies=[Depends(no_query)])
async def list_prices(request: Request) -> Response:
    """Return every model that was called and its price, the unpriced ones first."""
    store = store_of(request)
    return answer({"models": await store.prices.uses(), "items": await store.prices.list()})
