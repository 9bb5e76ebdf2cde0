"""One call to a model with all that is known of it."""

from uuid import UUID

from agentrecord.engine import Connection
from agentrecord.pricing.cost import charges
from agentrecord.records.call_detail import CallDetail
from agentrecord.records.scope import Scope
from agentrecord.store import llm_calls, prompts


def detail(conn: Connection, scope: Scope, call: UUID) -> CallDetail:
    """Return a call with its price, its charges and its prompt; raise `NotFound` if it is not there."""
    found = llm_calls.get(conn, scope, call)
    price = llm_calls.price(conn, scope, call)
    return CallDetail(
        call=found,
        price=price,
        charges=() if price is None else charges(found.tokens, price.rates, price.tiers),
        prompt=None if found.prompt_uuid is None else prompts.parts(conn, scope, found.prompt_uuid),
    )
