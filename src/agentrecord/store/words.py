"""The words of every list, for those who offer or describe them."""

from agentrecord.store._facets import MAX_FACETS, MAX_VALUES
from agentrecord.store._run_words import RUN_WORDS
from agentrecord.store._session_words import SESSION_WORDS
from agentrecord.store._words import Words

__all__ = ["MAX_FACETS", "MAX_VALUES", "RUN_WORDS", "SESSION_WORDS", "Words"]
