"""Budgets over REST: administrators set them, everybody sees how those stand that apply to them."""

from typing import Annotated, Any  # `Any`: OpenAPI is JSON
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as InQuery
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from agentrecord.records.budget import BudgetChanges, BudgetPeriod, BudgetStatus, NewBudget
from agentrecord.records.unset import UNSET
from agentrecord.server.fields import Dollars, Name, nanos_of
from agentrecord.server.problems import described_problem
from agentrecord.server.routes.common import MISSING, PROBLEMS, ListQuery
from agentrecord.server.wire import PageOf, StrictRoute, answer, described, model_of, no_query, store_of

router = APIRouter(prefix="/api/budgets", tags=["budgets"], responses=PROBLEMS, route_class=StrictRoute)

LEFT_OUT: Any = None
"""Stands for a field that is not given; null in its place is refused."""

TAKEN: dict[int | str, dict[str, Any]] = {409: described_problem("The project has a budget of that name")}


class BudgetBody(BaseModel):
    """A budget to make: of a user, of an agent, of both together, or with neither of the whole project."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(examples=["team"])
    period: BudgetPeriod = Field(description="In UTC; weeks start on Monday, a total never starts anew")
    limit_usd: Dollars = Field(description="Dollars, as a number or as decimal text", examples=["50.00"])
    user: Name | None = Field(None, examples=["ana@example.org"])
    agent_id: Name | None = Field(None, examples=["claude-code"])
    allow_unpriced: StrictBool = Field(
        False, description="Let calls through that have no price or no bound on their output"
    )
    is_active: StrictBool = True


class BudgetChangesBody(BaseModel):
    """What to change of a budget; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: Name = LEFT_OUT
    period: BudgetPeriod = LEFT_OUT
    limit_usd: Dollars = Field(LEFT_OUT, description="Dollars, as a number or as decimal text", examples=["80.00"])
    allow_unpriced: StrictBool = LEFT_OUT
    is_active: StrictBool = LEFT_OUT


@router.get("", response_model=None, responses=described(PageOf[model_of(BudgetStatus)], "Budgets"))  # type: ignore[misc]
async def list_budgets(request: Request, query: Annotated[ListQuery, InQuery()]) -> Response:
    """List the budgets that apply to the caller by name, each with what is spent and reserved in its present period."""
    return answer(await store_of(request).budgets.statuses(limit=query.limit, cursor=query.cursor))


@router.post(
    "",
    status_code=201,
    response_model=None,
    responses={**described(model_of(BudgetStatus), "The budget and how it stands", status=201), **TAKEN},
    dependencies=[Depends(no_query)],
)
async def create_budget(request: Request, body: BudgetBody) -> Response:
    """Make a budget; for administrators."""
    store = store_of(request)
    given = body.model_dump(exclude={"limit_usd"})
    made = await store.budgets.create(NewBudget(**given, limit_nanos=nanos_of("limit_usd", body.limit_usd)))
    return answer(await store.budgets.status(made.id), 201)


@router.get(
    "/{budget_id}",
    response_model=None,
    responses={**described(model_of(BudgetStatus), "The budget and how it stands"), **MISSING},
    dependencies=[Depends(no_query)],
)
async def get_budget(request: Request, budget_id: UUID) -> Response:
    """Return a budget that applies to the caller, with what is spent and reserved in its present period."""
    return answer(await store_of(request).budgets.status(budget_id))


@router.patch(
    "/{budget_id}",
    response_model=None,
    responses={**described(model_of(BudgetStatus), "The budget and how it stands now"), **MISSING, **TAKEN},
    dependencies=[Depends(no_query)],
)
async def change_budget(request: Request, budget_id: UUID, body: BudgetChangesBody) -> Response:
    """Change a budget; what is left out stays. For administrators."""
    store = store_of(request)
    given = body.model_dump(exclude_unset=True, exclude={"limit_usd"})
    limit = nanos_of("limit_usd", body.limit_usd) if "limit_usd" in body.model_fields_set else UNSET
    await store.budgets.update(budget_id, BudgetChanges(**given, limit_nanos=limit))
    return answer(await store.budgets.status(budget_id))


@router.delete(
    "/{budget_id}", status_code=204, response_model=None, responses=MISSING, dependencies=[Depends(no_query)]
)
async def delete_budget(request: Request, budget_id: UUID) -> Response:
    """Delete a budget; for administrators."""
    await store_of(request).budgets.delete(budget_id)
    return Response(status_code=204)
