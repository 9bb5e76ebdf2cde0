"""The built-in price table, in the one form that is bundled, read and asked: who serves which models, at what rates.

It is drafted from the genai-prices package (`scripts/draft_prices.py`) and comes with ours, so that neither that
package nor what it needs has to be installed. Where it is installed and newer than the bundle, its table is read
instead, by the same conversion: new models appear weekly, and a price that is a month old is better than none.
"""

import logging
import re
from datetime import UTC, date, datetime, time
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Literal, cast

from msgspec import Struct
from msgspec.json import decode

from agentrecord.records.price import Rates, Tier

BUNDLE = "genai-prices.json"
_log = logging.getLogger("agentrecord.pricing")


class Clause(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """What a name must be like: a comparison with `text` in lower case, or any or all of `parts`."""

    kind: Literal["is", "starts", "ends", "has", "regex", "any", "all"]
    text: str = ""
    parts: tuple["Clause", ...] = ()

    def matches(self, name: str) -> bool:
        """Say whether a name in lower case is like this."""
        match self.kind:
            case "is":
                return name == self.text
            case "starts":
                return name.startswith(self.text)
            case "ends":
                return name.endswith(self.text)
            case "has":
                return self.text in name
            case "regex":
                return re.search(self.text, name) is not None
            case "any":
                return any(part.matches(name) for part in self.parts)
            case "all":
                return all(part.matches(name) for part in self.parts)


class Entry(Struct, frozen=True, omit_defaults=True, gc=False):
    """What a model costs from a UTC date on, or in the hours from `start` to `end` of each UTC day, or ever.

    Without `rates` the price depends on classes of tokens which the record does not tell apart.
    """

    since: date | None = None
    start: time | None = None
    end: time | None = None
    rates: Rates | None = None
    tiers: tuple[Tier, ...] = ()

    def holds(self, at: datetime) -> bool:
        """Say whether this is the price at the instant `at`, as far as its date and hours go."""
        utc = at.astimezone(UTC)
        if self.since is not None:
            return utc.date() >= self.since
        if self.start is None or self.end is None:
            return True
        if self.end < self.start:
            return utc.time() >= self.start or utc.time() < self.end
        return self.start <= utc.time() < self.end


class Model(Struct, frozen=True, omit_defaults=True, gc=False):
    """A model at a provider; of its `prices` the first that holds is charged, or the last where none does."""

    id: str
    match: Clause
    prices: tuple[Entry, ...] = ()


class Provider(Struct, frozen=True, omit_defaults=True, gc=False):
    """Who serves models, how it is recognised, and whose prices hold for what it does not list itself."""

    id: str
    name: str
    api_pattern: str
    model_match: Clause | None = None
    provider_match: Clause | None = None
    fallbacks: tuple[str, ...] = ()
    models: tuple[Model, ...] = ()


class Table(Struct, frozen=True, gc=False):
    """The providers, in the order in which they are asked, and the version of genai-prices that says so."""

    version: str
    providers: tuple[Provider, ...]

    @property
    def source(self) -> str:
        """Where the figures come from, as a price keeps it."""
        return f"genai-prices {self.version}"


def bundled() -> Table:
    """Return the table that comes with this package."""
    return decode((files("agentrecord.pricing") / BUNDLE).read_bytes(), type=Table)


@cache
def current() -> Table:
    """Return the table that prices are looked up in: the newer of the bundled and the installed one."""
    ours = bundled()
    try:
        installed = version("genai-prices")
    except PackageNotFoundError:
        return ours
    if _release(installed) <= _release(ours.version):
        return ours
    try:
        # By name, and here only: it brings pydantic along, which takes longer to import than most reports to make.
        return cast("Table", import_module("agentrecord.pricing.upstream").table())
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        _log.warning("genai-prices %s is installed but not understood (%s); prices are those of %s",
                     installed, error, ours.version)  # fmt: skip
        return ours


def _release(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, without what makes it a trial or a local one."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
