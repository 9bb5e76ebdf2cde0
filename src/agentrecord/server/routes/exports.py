"""Exports: what a page lists, complete, as JSON, JSON lines or CSV; streamed, whatever its size."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar, assert_never  # `Any`: sums of any list

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from agentrecord.codec.jsonable import to_json
from agentrecord.dashboard import figures, filters
from agentrecord.dashboard.list_page import Kind
from agentrecord.dashboard.run_list import RUNS
from agentrecord.dashboard.session_list import SESSIONS
from agentrecord.records.page import MAX_PAGE, Page
from agentrecord.records.run import Run
from agentrecord.records.session import Session
from agentrecord.records.usage import UsageReport, UsageTotals
from agentrecord.server.routes.pages import COST_FILTERS
from agentrecord.server.routes.pages_lists import asked_of
from agentrecord.server.wire import answer, store_of

router = APIRouter(include_in_schema=False)
T = TypeVar("T")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
USAGE_COLUMNS = (
    "calls", "failed_calls", "unpriced_calls", "uncounted_calls", "input_tokens", "cache_read_tokens",
    "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "unclassified_tokens",
    "total_tokens", "cost_usd",
)  # fmt: skip
_TREE_COLUMNS = ("calls", "unpriced_calls", "total_tokens", "cost_usd")
"""Which sums over a run and all below it stand beside those of its own calls."""


class ExportAs(StrEnum):
    """In what shape a list leaves."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet(Generic[T]):
    """A list as a table: its columns, and a row's cells."""

    columns: Sequence[str]
    cells: Callable[[T], list[object]]


def _cell(value: object) -> object:
    """Return a value as a spreadsheet may open it: text is never taken for a formula."""
    return "'" + value if isinstance(value, str) and value.startswith(_FORMULA) else value


def _csv(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue().encode("utf-8", "replace")


def usage_cells(totals: UsageTotals) -> list[object]:
    """Return sums over calls as the cells of `USAGE_COLUMNS`."""
    return [getattr(totals, name) for name in USAGE_COLUMNS]


def _session_cells(session: Session) -> list[object]:
    return [
        session.session_id, session.id, session.user, session.agent_id, session.source,
        session.title or (session.coding.initial_task if session.coding else None),
        session.coding.working_directory if session.coding else None, session.status,
        session.created_at.isoformat(), session.last_activity_at.isoformat(), session.message_count,
        session.run_count, session.tool_call_count, session.tool_error_count, session.error_count,
        *usage_cells(session.subtree or session.usage),
    ]  # fmt: skip


def _run_cells(run: Run) -> list[object]:
    return [
        run.run_id, run.id, run.session_id, run.user, run.agent_id, run.objective, run.status,
        *[None if at is None else at.isoformat() for at in (run.started_at, run.finished_at)], run.duration_ms,
        run.tool_call_count, run.tool_error_count, run.error_message, *usage_cells(run.usage),
        *[getattr(run.subtree or run.usage, name) for name in _TREE_COLUMNS],
    ]  # fmt: skip


_SESSIONS: Sheet[Session] = Sheet(
    columns=(
        "session_id", "id", "user", "agent_id", "source", "title", "directory", "status", "created_at",
        "last_activity_at", "messages", "runs", "tool_calls", "tool_errors", "errors", *USAGE_COLUMNS,
    ),
    cells=_session_cells,
)  # fmt: skip
_RUNS: Sheet[Run] = Sheet(
    columns=(
        "run_id", "id", "session_id", "user", "agent_id", "input", "status", "started_at", "finished_at", "duration_ms",
        "tool_calls", "tool_errors", "error_message", *USAGE_COLUMNS, *[f"tree_{name}" for name in _TREE_COLUMNS],
    ),
    cells=_run_cells,
)  # fmt: skip


async def exported(request: Request, kind: Kind[T, Any], sheet: Sheet[T], shape: ExportAs) -> Response:
    """Return every row that a list's filter finds as a file."""
    store, asked = store_of(request), kind.folded(asked_of(request, kind))
    reads = kind.reads(store, asked.get("q"), await kind.stretch(store, asked, store.engine.maker.clock.now()))
    sort = asked.get("sort", kind.steady)
    return await sent(lambda cursor: reads.page(sort, MAX_PAGE, cursor), sheet, kind.path[1:], shape)


@router.get("/sessions.{shape}")
async def export_sessions(request: Request, shape: ExportAs) -> Response:
    """Send every session that the filter finds, each with the sums over its sub-agents."""
    return await exported(request, SESSIONS, _SESSIONS, shape)


@router.get("/runs.{shape}")
async def export_runs(request: Request, shape: ExportAs) -> Response:
    """Send every run that the filter finds."""
    return await exported(request, RUNS, _RUNS, shape)


async def sent(
    ask: Callable[[str | None], Awaitable[Page[T]]], sheet: Sheet[T], name: str, shape: ExportAs
) -> Response:
    """Return a list as a file, written page by page as `ask` gives them."""
    # The first page is read before the answer begins, so that a wrong filter is still an answer of its own.
    first = await ask(None)

    async def pages() -> AsyncIterator[Sequence[T]]:
        found = first
        while True:
            yield found.items
            if found.next_cursor is None:
                return
            found = await ask(found.next_cursor)

    body = _written(pages(), sheet, shape)
    return StreamingResponse(body, headers=_headers(f"{name}.{shape}"), media_type=_MEDIA[shape])


async def _written(pages: AsyncIterator[Sequence[T]], sheet: Sheet[T], shape: ExportAs) -> AsyncIterator[bytes]:
    match shape:
        case ExportAs.JSON:
            yield b'{"items":['
            is_first = True
            async for rows in pages:
                text = b",".join(to_json(row) for row in rows)
                yield text if is_first or not text else b"," + text
                is_first = is_first and not text
            yield b"]}"
        case ExportAs.JSONL:
            async for rows in pages:
                yield b"".join(to_json(row) + b"\n" for row in rows)
        case ExportAs.CSV:
            yield _csv([sheet.columns])
            async for rows in pages:
                yield _csv([sheet.cells(row) for row in rows])
        case _:
            assert_never(shape)


@router.get("/cost.{shape}")
async def export_cost(request: Request, shape: ExportAs) -> Response:
    """Send the report that the page of costs shows."""
    store, asked = store_of(request), filters.checked(request.query_params, COST_FILTERS)
    now = store.engine.maker.clock.now()
    by, with_subagents = figures.cost_by(asked), figures.subagents_of(asked)
    stretch = (await figures.called_in(store, asked, now, include_subagents=with_subagents)).stretch
    report = await figures.cost_report(store, stretch, by, figures.split_of(asked, by), with_subagents)
    if shape is ExportAs.JSON:
        return answer(report)
    body = b"".join(_cost_rows(report, shape))
    return Response(body, headers=_headers(f"cost.{shape}"), media_type=_MEDIA[shape])


def _cost_rows(report: UsageReport, shape: ExportAs) -> list[bytes]:
    if shape is ExportAs.JSONL:
        return [to_json(row) + b"\n" for row in report.rows]
    names = (str(report.by), "label") if report.split is None else (str(report.by), "label", f"by_{report.split}")
    return [
        _csv([(*names, *USAGE_COLUMNS)]),
        _csv([[*(row.key, row.label, row.split)[: len(names)], *usage_cells(row.totals)] for row in report.rows]),
    ]


_MEDIA = {
    ExportAs.JSON: "application/json",
    ExportAs.JSONL: "application/jsonl",
    ExportAs.CSV: "text/csv; charset=utf-8",
}


def _headers(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
