"""The pages that list sessions, runs, agents, users and errors: each a plain GET that works without scripts."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any  # `Any`: rows and sums of any list

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from agentrecord.dashboard import error_list, figure_lists, filters, run_list
from agentrecord.dashboard.list_page import Kind, ListPage, list_page
from agentrecord.dashboard.session_list import SESSIONS
from agentrecord.server.shown import page
from agentrecord.server.wire import store_of
from agentrecord.store import AsyncStore

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

FRAME = ("q", "since", "from", "to", "sort", "cols", "after")
Make = Callable[[AsyncStore, filters.Asked, datetime], Awaitable[ListPage[Any, Any]]]


def asked_of(request: Request, kind: Kind[Any, Any]) -> filters.Asked:
    """Return what a list's address asks for; each box that is ticked in a form is a `cols` of its own."""
    given = {**request.query_params}
    if "cols" in given:
        given["cols"] = ",".join(request.query_params.getlist("cols"))
    return filters.checked(given, (*FRAME, *kind.legacy, *kind.kept))


async def _listed(request: Request, kind: Kind[Any, Any], make: Make | None = None) -> HTMLResponse:
    store, asked, name = store_of(request), asked_of(request, kind), kind.path[1:]
    now = store.engine.maker.clock.now()
    context = await (list_page(kind, store, asked, now) if make is None else make(store, asked, now))
    status = 422 if context.view.problem else 200
    return page(request, f"{name}.html", context, active=name, asked=context.asked, status=status)


@router.get("/sessions")
async def sessions(request: Request) -> HTMLResponse:
    """List sessions."""
    return await _listed(request, SESSIONS)


@router.get("/runs")
async def runs(request: Request) -> HTMLResponse:
    """List runs."""
    return await _listed(request, run_list.RUNS, run_list.runs)


@router.get("/agents")
async def agents(request: Request) -> HTMLResponse:
    """List agents with what they did and cost."""
    return await _listed(request, figure_lists.AGENTS, figure_lists.agents)


@router.get("/users")
async def users(request: Request) -> HTMLResponse:
    """List users with what they did and spent."""
    return await _listed(request, figure_lists.USERS, figure_lists.users)


@router.get("/errors")
async def errors(request: Request) -> HTMLResponse:
    """Show what failed."""
    return await _listed(request, error_list.ERRORS, error_list.errors)
