"""The pages of runs: one with its waterfall, two side by side; and conversations as text."""

from collections.abc import AsyncIterator
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, StreamingResponse

from agentrecord.codec.jsonable import to_json
from agentrecord.dashboard import compare_page, filters, run_page, run_rows, transcript
from agentrecord.records.page import MAX_PAGE
from agentrecord.server.shown import page as _page
from agentrecord.server.wire import answer, store_of
from agentrecord.store import AsyncStore

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

CHUNK = 25_000


@router.get("/runs/rows/{run_id:path}")
async def rows(request: Request, run_id: str) -> Response:
    """Return rows of a waterfall for the script that draws those which are in sight."""
    store, asked = store_of(request), filters.checked(request.query_params, ("first", "span", "spans", *run_rows.VIEW))
    first = filters.whole_number(asked, "first", 1)
    tree = await store.pages.run_tree((await store.runs.get(run_id)).id, query=asked.get("spans"))
    chosen = run_page.chosen_of(tree.spans, asked.get("span"))
    fall = run_rows.waterfall(
        tree, run_rows.view_of(asked), store.engine.maker.clock.now(), chosen=None if chosen is None else chosen.id
    )
    found = run_rows.compact(fall, first - 1, CHUNK, None if chosen is None else chosen.id)
    return answer({"total": len(fall.items), "rows": found})


@router.get("/s/{session_id:path}.md")
async def transcript_of(request: Request, session_id: str) -> StreamingResponse:
    """Send a conversation as Markdown."""
    filters.checked(request.query_params, ())
    store = store_of(request)
    session = await store.sessions.get(session_id, with_subtree=True)
    return StreamingResponse(transcript.markdown(store, session), media_type="text/markdown; charset=utf-8")


@router.get("/s/{session_id:path}.jsonl")
async def messages_of(request: Request, session_id: str) -> StreamingResponse:
    """Send a session's messages as JSON lines."""
    filters.checked(request.query_params, ())
    store = store_of(request)
    session = await store.sessions.get(session_id)
    headers = {"Content-Disposition": f'attachment; filename="{session.id}.jsonl"'}
    return StreamingResponse(_lines(store, session.id), headers=headers, media_type="application/jsonl")


async def _lines(store: AsyncStore, session: UUID) -> AsyncIterator[bytes]:
    cursor: str | None = None
    while True:
        found = await store.messages.list(session, limit=MAX_PAGE, cursor=cursor)
        yield b"".join(to_json(message) + b"\n" for message in found)
        cursor = found.next_cursor
        if cursor is None:
            return


@router.get("/m/{message_id}.txt")
async def message_text(request: Request, message_id: UUID) -> PlainTextResponse:
    """Send the whole text of a message."""
    filters.checked(request.query_params, ())
    return PlainTextResponse((await store_of(request).messages.get(message_id)).content)


@router.get("/t/{tool_call_id}.txt")
async def tool_result(request: Request, tool_call_id: UUID) -> PlainTextResponse:
    """Send the whole result of a use of a tool."""
    filters.checked(request.query_params, ())
    return PlainTextResponse((await store_of(request).tool_calls.get(tool_call_id)).result or "")


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
    status = 422 if context.problem else 200
    return _page(request, "run.html", context, active="runs", asked=asked, status=status)
