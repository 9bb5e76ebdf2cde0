"""The pages of runs: one with its waterfall, the rows of a long one, two of them side by side."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from agentrecord.dashboard import compare_page, filters, run_page, run_rows
from agentrecord.server.shown import page as _page
from agentrecord.server.wire import answer, store_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

CHUNK = 5000


@router.get("/runs/rows/{run_id:path}")
async def rows(request: Request, run_id: str) -> Response:
    """Return rows of a waterfall for the script that draws those which are in sight."""
    store, asked = store_of(request), filters.checked(request.query_params, ("first", *run_rows.VIEW))
    first = filters.whole_number(asked, "first", 1)
    tree = await store.pages.run_tree((await store.runs.get(run_id)).id)
    fall = run_rows.waterfall(tree, run_rows.view_of(asked), store.engine.maker.clock.now())
    return answer({"total": len(fall.spans), "rows": run_rows.compact(fall, first - 1, CHUNK)})


@router.get("/runs/compare")
async def compare(request: Request) -> HTMLResponse:
    """Show two runs side by side, or what a run could be compared with."""
    store, asked = store_of(request), filters.checked(request.query_params, compare_page.COMPARE_FILTERS)
    context = await compare_page.compare_page(store, asked, store.engine.maker.clock.now())
    return _page(request, "compare.html", context, active="runs", asked=asked)


@router.get("/r/{run_id:path}")
async def run(request: Request, run_id: str) -> HTMLResponse:
    """Show a run's tree and one piece of it."""
    store, asked = store_of(request), filters.checked(request.query_params, run_page.RUN_FILTERS)
    context = await run_page.run_page(store, run_id, asked, store.engine.maker.clock.now())
    return _page(request, "run.html", context, active="runs", asked=asked)
