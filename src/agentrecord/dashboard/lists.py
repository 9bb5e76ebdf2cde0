"""Pages that list: unreadable lines."""

from agentrecord.dashboard.contexts import ImportsPage
from agentrecord.dashboard.filters import Asked
from agentrecord.store import AsyncStore

ROWS = 50


async def imports(store: AsyncStore, asked: Asked) -> ImportsPage:
    """Return the lines that could not be read."""
    found = await store.imports.unreadable(limit=ROWS, cursor=asked.get("after"))
    return ImportsPage(found=found, is_first="after" not in asked)
