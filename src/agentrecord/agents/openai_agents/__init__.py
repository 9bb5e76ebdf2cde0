"""The OpenAI Agents SDK behind the conversation endpoint, and a session of the record for the SDK's own runner."""

from agentrecord.agents.openai_agents.loading import tools_of
from agentrecord.agents.openai_agents.runner import OpenAIAgentsRunner
from agentrecord.agents.openai_agents.session import RecordSession

__all__ = ["OpenAIAgentsRunner", "RecordSession", "tools_of"]
