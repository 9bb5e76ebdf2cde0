"""Write the built-in price table anew, from the genai-prices package that is installed.

    python scripts/draft_prices.py

For a newer one, first raise its version in `constraints.txt` and install it. Read the difference before it is kept:
it changes what calls from now on are charged, and what `agentrecord reprice` would make of past ones.
"""

from importlib.metadata import files
from pathlib import Path

import msgspec

from agentrecord.pricing import upstream
from agentrecord.pricing.table import BUNDLE, Table

FOLDER = Path(__file__).parent.parent / "src" / "agentrecord" / "pricing"
LICENSE = "LICENSE-genai-prices"


def text_of(table: Table) -> str:
    """Return a table as JSON, a line for each model, so that what is new in another one can be read."""
    providers = []
    for provider in table.providers:
        head = _json(msgspec.structs.replace(provider, models=())).removesuffix("}")
        models = ",\n".join(map(_json, provider.models))
        providers.append(f'{head},"models":[\n{models}]}}')
    return f'{{"version":{_json(table.version)},"providers":[\n' + ",\n".join(providers) + "]}\n"


def _json(value: object) -> str:
    return msgspec.json.encode(_without_blanks(msgspec.to_builtins(value))).decode()


def _without_blanks(value: object) -> object:
    """Return what is decoded alike without its nulls, and without the empty list at a rule's end."""
    if isinstance(value, dict):
        return {key: _without_blanks(one) for key, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        kept = [_without_blanks(one) for one in value]
        return kept[:-1] if kept[-1:] == [[]] else kept
    return value


def license_text() -> str:
    """Return the licence that genai-prices comes under."""
    (found,) = (file for file in files("genai-prices") or () if file.name == "LICENSE")
    return found.read_text()


def main() -> None:
    """Write the table and its licence."""
    (FOLDER / BUNDLE).write_text(text_of(upstream.table()), encoding="utf-8")
    (FOLDER / LICENSE).write_text(license_text(), encoding="utf-8")
    print(f"wrote {BUNDLE} and {LICENSE}")


if __name__ == "__main__":
    main()
