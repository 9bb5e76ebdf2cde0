"""SQL that people write, over REST."""

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from agentrecord.records.sql import SqlAnswer, SqlTable
from agentrecord.server.routes.common import PROBLEMS
from agentrecord.server.wire import ItemsOf, StrictRoute, answer, described, model_of, no_query, store_of
from agentrecord.store.queries import MAX_CHARS, MAX_ROWS

router = APIRouter(prefix="/api/sql", tags=["record"], responses=PROBLEMS, route_class=StrictRoute)


class SqlAsked(BaseModel):
    """A query."""

    model_config = ConfigDict(extra="forbid")

    sql: str = Field(
        min_length=1, max_length=MAX_CHARS, description="One SELECT, WITH or VALUES",
        examples=["SELECT session_id, title FROM ar_sessions LIMIT 10"],
    )  # fmt: skip
    limit: int = Field(1000, ge=1, le=MAX_ROWS, description="Rows at most")


@router.post(
    "",
    response_model=None,
    responses=described(model_of(SqlAnswer), "The rows that it gave"),
    dependencies=[Depends(no_query)],
)
async def run_query(request: Request, asked: SqlAsked) -> Response:
    """Run a query on the record, which it cannot change: for a second at most, within what the caller may see.

    On SQLite for administrators; on PostgreSQL for everybody, where row-level security keeps their rows apart.
    """
    return answer(await store_of(request).queries.run(asked.sql, limit=asked.limit))


@router.get(
    "/tables",
    response_model=None,
    responses=described(ItemsOf[model_of(SqlTable)], "Tables and views"),  # type: ignore[misc]
    dependencies=[Depends(no_query)],
)
async def list_tables(request: Request) -> Response:
    """List the tables and documented views that a query can ask, with their columns."""
    return answer({"items": await store_of(request).queries.tables()})
