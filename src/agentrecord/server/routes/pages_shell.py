"""Pages that stand beside the record's own: search, settings, and questions in SQL."""

import csv
import io

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from agentrecord.dashboard import filters, finding, queries, settings
from agentrecord.exceptions import InvalidFilter
from agentrecord.server.identity import identity_of
from agentrecord.server.shown import PREFERENCE_LIFE_S, page
from agentrecord.server.wire import store_of
from agentrecord.store.queries import MAX_ROWS

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@router.get("/search")
async def search(request: Request) -> HTMLResponse:
    """Find anything by its id, its name or its words."""
    asked = filters.checked(request.query_params, ("q", "page"))
    context = await finding.search_page(store_of(request), asked)
    return page(request, "search.html", context, active="search", asked=asked)


@router.get("/settings")
async def show_settings(request: Request) -> HTMLResponse:
    """Show where the record is kept, and what the viewer prefers."""
    asked = filters.checked(request.query_params, ("keys", "check"))
    if "keys" in asked and asked["keys"] not in settings.KEYS:
        raise InvalidFilter("keys", asked["keys"], f"must be {' or '.join(settings.KEYS)}")
    if asked.get("check", "yes") != "yes":
        raise InvalidFilter("check", asked["check"], "must be yes, or left out")
    who, is_examined = identity_of(request), "check" in asked
    storage = None
    if who.role.may_administer:
        storage = await run_in_threadpool(settings.storage, who.store.engine, is_examined=is_examined)
    keys = settings.keys_of(asked, request.cookies)
    context = settings.SettingsPage(storage=storage, is_examined=is_examined, keys=keys)
    shown = page(request, "settings.html", context, active="settings", asked=asked)
    if "keys" in asked:
        shown.set_cookie(settings.KEYS_COOKIE, keys, max_age=PREFERENCE_LIFE_S, samesite="strict", httponly=True)
    return shown


@router.get("/sql")
async def ask_sql(request: Request) -> HTMLResponse:
    """Ask in SQL."""
    asked = filters.checked(request.query_params, ("q", "sort"))
    context = await queries.sql_page(store_of(request), asked)
    status = 422 if context.refused else 200
    return page(request, "sql.html", context, active="sql", asked=asked, status=status)


@router.get("/sql.csv")
async def export_sql(request: Request) -> Response:
    """Send what a query gives as CSV, up to the limits of queries."""
    asked = filters.checked(request.query_params, ("q", "sort"))
    given = await store_of(request).queries.run(queries.ordered(asked), limit=MAX_ROWS)
    text = io.StringIO()
    csv.writer(text).writerows([given.columns, *[[_cell(value) for value in row] for row in given.rows]])
    named = {"Content-Disposition": 'attachment; filename="query.csv"'}
    return Response(text.getvalue().encode("utf-8", "replace"), media_type="text/csv; charset=utf-8", headers=named)


def _cell(value: object) -> object:
    """Return a value as a spreadsheet may open it: text is never taken for a formula."""
    return "'" + value if isinstance(value, str) and value.startswith(_FORMULA) else value
