"""The words of every list, for those who offer or describe them."""

from agentrecord.store import agent_figures, user_figures
from agentrecord.store._error_words import known_words
from agentrecord.store._facets import MAX_FACETS, MAX_VALUES, TOP
from agentrecord.store._run_words import RUN_WORDS
from agentrecord.store._session_words import SESSION_WORDS
from agentrecord.store._words import Words
from agentrecord.store.span_words import SPAN_WORDS

__all__ = [
    "AGENT_WORDS",
    "GROUP_WORDS",
    "MAX_FACETS",
    "MAX_VALUES",
    "RUN_WORDS",
    "SESSION_WORDS",
    "SPAN_WORDS",
    "TOP",
    "USER_WORDS",
    "Words",
]

AGENT_WORDS = agent_figures.AGENTS.words
USER_WORDS = user_figures.USERS.words
GROUP_WORDS = known_words()
