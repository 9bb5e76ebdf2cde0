"""The tools of the killed conversation, named to the server by their path."""

import asyncio

from agents import function_tool


@function_tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@function_tool
async def ponder(question: str) -> str:
    """Think about a question for longer than anybody waits."""
    await asyncio.Event().wait()
    return question
