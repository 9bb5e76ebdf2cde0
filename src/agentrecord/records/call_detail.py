"""All that is known of one call to a model: its prompt as messages, and how its cost came about."""

from dataclasses import dataclass

from agentrecord.records.llm_call import LLMCall, PromptPart
from agentrecord.records.price import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What the tokens of one class cost: `rate` is in nano-dollars per million of them.

    `token_class` is a field of `TokenCounts`, or `request` for what each call costs. `cost_nanos` is rounded by
    itself, while a call's cost is rounded once, so that their sum may differ from it by a few nano-dollars.
    """

    token_class: str
    tokens: int
    rate: int
    cost_nanos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDetail:
    """A call, the price that charged it, what each class of tokens came to, and the messages that it was asked with.

    `price` is None where no price did, `prompt` where none was kept.
    """

    call: LLMCall
    price: Price | None
    charges: tuple[Charge, ...] = ()
    prompt: tuple[PromptPart, ...] | None = None
