"""What the API's routes share: parameters of lists, and the problems that every route may answer with."""

from typing import Any  # `Any`: OpenAPI is JSON

from pydantic import BaseModel, Field

from agentrecord.codec.values import MAX_NAME
from agentrecord.records.page import MAX_PAGE
from agentrecord.server.problems import described_problem
from agentrecord.server.wire import Query
from agentrecord.store.words import MAX_VALUES

PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: described_problem("No key, or one that is not valid"),
    403: described_problem("The key's role may not do this"),
    429: described_problem("Too many requests: Retry-After says how long to wait"),
    422: described_problem("A parameter or field is refused: which one, and why"),
}
MISSING: dict[int | str, dict[str, Any]] = {404: described_problem("No such row that this key can see")}


NAMED: dict[int | str, dict[str, Any]] = {
    **MISSING,
    409: described_problem("Several users have that name: name the user, or give the row id"),
}
"""What is answered where a row is asked for by the name that its user gave it."""


class ListQuery(Query):
    """Which page of a list."""

    limit: int = Field(50, ge=1, le=MAX_PAGE, description="Rows on a page")
    cursor: str | None = Field(None, description="The last page's `next_cursor`")


class Completion(Query):
    """How the values of a word of a filter begin, and how many of them are wanted."""

    prefix: str = Field("", max_length=MAX_NAME, description="How the values begin, whatever the case")
    limit: int = Field(20, ge=1, le=MAX_VALUES)


class Values(BaseModel):
    """Values of a word, in order."""

    items: list[str]


CONFLICT: dict[int | str, dict[str, Any]] = {409: described_problem("It is taken, busy or closed: what, and the mend")}
UPSTREAM: dict[int | str, dict[str, Any]] = {
    402: described_problem("A budget would be crossed; no call was made"),
    502: described_problem("The agent failed; what was said and paid is kept"),
    504: described_problem("The agent took too long"),
}
BUSY: dict[int | str, dict[str, Any]] = {
    429: described_problem("Too many attempts: Retry-After says how long to wait"),
    503: described_problem("Too many at once: Retry-After says how long to wait"),
}
