"""Every tool whose transcripts can be imported, by the name that `agentrecord import` knows it by."""

from agentrecord.ingest import claude_code, codex, gemini, llm, pi
from agentrecord.ingest.source import Source

SOURCES: dict[str, Source] = {
    source.name: source for source in (claude_code.SOURCE, codex.SOURCE, gemini.SOURCE, pi.SOURCE, llm.SOURCE)
}
