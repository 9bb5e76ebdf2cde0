"""Pages that list: errors, search, unreadable lines."""

import asyncio

from agentrecord.dashboard.contexts import ErrorsPage, ImportsPage, SearchPage
from agentrecord.dashboard.filters import Asked, whole_number
from agentrecord.records.run import RunFilter, RunStatus
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.store import AsyncStore

ROWS = 50
HITS = 20


async def errors(store: AsyncStore, asked: Asked) -> ErrorsPage:
    """Return groups of equal errors, the tools that failed, and the last failures."""
    tool = asked.get("tool")
    groups, tools, failures, failed = await asyncio.gather(
        store.errors.groups(limit=ROWS),
        store.tool_calls.figures(),
        store.tool_calls.list(
            status=ToolCallStatus.ERROR, tool_name=tool, sort="-started_at", limit=ROWS, cursor=asked.get("after")
        ),
        store.runs.list(RunFilter(status=RunStatus.ERROR), limit=ROWS),
    )
    return ErrorsPage(
        groups=groups, tools=[found for found in tools if found.errors], failures=failures, runs=failed, tool=tool
    )


async def search(store: AsyncStore, asked: Asked) -> SearchPage:
    """Return the messages that hold the words asked for."""
    query, page = asked.get("q", ""), whole_number(asked, "page", 1)
    if not query:
        return SearchPage(query="", found=None, page=1)
    found = await store.messages.search(query, limit=HITS, offset=(page - 1) * HITS)
    return SearchPage(query=query, found=found, page=page)


async def imports(store: AsyncStore, asked: Asked) -> ImportsPage:
    """Return the lines that could not be read."""
    found = await store.imports.unreadable(limit=ROWS, cursor=asked.get("after"))
    return ImportsPage(found=found, is_first="after" not in asked)
