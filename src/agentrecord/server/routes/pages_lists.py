"""The pages that list sessions and runs: each a plain GET that works without scripts."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from agentrecord.dashboard import filters, run_list, session_list
from agentrecord.server.shown import page as _page
from agentrecord.server.wire import store_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

FRAME = ("q", "since", "from", "to", "sort", "cols", "after")
SESSION_FILTERS = (*FRAME, *session_list.LEGACY)
RUN_FILTERS = (*FRAME, *run_list.LEGACY, "errors")


def asked_of(request: Request, known: tuple[str, ...]) -> filters.Asked:
    """Return what a list's address asks for; each box that is ticked in a form is a `cols` of its own."""
    given = {**request.query_params}
    if "cols" in given:
        given["cols"] = ",".join(request.query_params.getlist("cols"))
    return filters.checked(given, known)


@router.get("/sessions")
async def sessions(request: Request) -> HTMLResponse:
    """List sessions."""
    store, asked = store_of(request), asked_of(request, SESSION_FILTERS)
    context = await session_list.sessions(store, asked, store.engine.maker.clock.now())
    asked = session_list.folded_sessions(asked)
    status = 422 if context.view.problem else 200
    return _page(request, "sessions.html", context, active="sessions", asked=asked, status=status)


@router.get("/runs")
async def runs(request: Request) -> HTMLResponse:
    """List runs."""
    store, asked = store_of(request), asked_of(request, RUN_FILTERS)
    context = await run_list.runs(store, asked, store.engine.maker.clock.now())
    asked = run_list.folded_runs(asked)
    status = 422 if context.view.problem else 200
    return _page(request, "runs.html", context, active="runs", asked=asked, status=status)
