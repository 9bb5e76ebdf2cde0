"""The bundled price table is that of genai-prices, found by the same rules; a newer one that is installed is read."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import genai_prices
import pytest
from genai_prices import types as theirs
from genai_prices.data import providers as their_providers
from genai_prices.data_snapshot import find_provider_by_id

from agentrecord.pricing import upstream
from agentrecord.pricing.names import model_at, provider_of
from agentrecord.pricing.table import BUNDLE, Provider, bundled

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "src" / "agentrecord" / "pricing"
TABLE = bundled()
DASHED = re.compile(r"-(20\d\d)-(\d\d)-(\d\d)")

BRAND_NEW = """
from decimal import Decimal
from genai_prices.types import *
providers = [
    Provider(
        id="newcomer", name="Newcomer", api_pattern="https://new", model_match=ClauseStartsWith("brand-new"),
        models=[ModelInfo(id="brand-new", match={match}, prices=ModelPrice(input_mtok=Decimal("1.5")))],
    )
]
"""
ASKED = """
import sys
from datetime import UTC, datetime
from agentrecord.pricing.builtin import find
quotes = [find(name, None, datetime(2026, 11, 1, tzinfo=UTC)) for name in ("brand-new-1", "claude-opus-4-6")]
print([quote and (quote.host, quote.rates.input, quote.source) for quote in quotes], "genai_prices" in sys.modules)
"""
OPUS = ("Anthropic", 5_000_000_000, TABLE.source)


def names_of(model: theirs.ModelInfo) -> Iterator[str]:
    """Yield a model's id and all the names by which it is recognised, also in odd spellings."""
    yield model.id
    for text in sorted(set(texts_of(model.match))):
        yield from (text, f"{text}-20251399")
        if (compact := DASHED.sub(r"-\1\2\3", text)) != text:
            yield from (compact, f"{compact}:thinking")


def texts_of(clause: theirs.MatchLogic) -> Iterator[str]:
    """Yield the texts that a rule for names compares with."""
    match clause:
        case theirs.ClauseOr(or_=parts) | theirs.ClauseAnd(and_=parts):
            for part in parts:
                yield from texts_of(part)
        case _:
            (text,) = vars(clause).values()
            yield text


def test_the_bundled_table_is_what_the_pinned_package_says() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    import draft_prices

    hint = "run: python scripts/draft_prices.py"
    assert (FOLDER / BUNDLE).read_text(encoding="utf-8") == draft_prices.text_of(upstream.table()), hint
    assert upstream.table() == TABLE, hint
    assert (FOLDER / draft_prices.LICENSE).read_text(encoding="utf-8") == draft_prices.license_text(), hint
    assert f"genai-prices=={TABLE.version}\n" in (ROOT / "constraints.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", range(len(their_providers)), ids=lambda place: their_providers[place].id)
def test_every_name_of_every_model_finds_the_same_price_as_in_genai_prices(place: int) -> None:
    provider, ours = their_providers[place], TABLE.providers[place]
    names = {name for model in provider.models for name in names_of(model)}
    for fallback in provider.fallback_model_providers or ():
        served = next(one for one in their_providers if one.id == fallback)
        names |= {name for model in served.models for name in names_of(model)}
    assert len(names) > len(provider.models)
    converted: dict[int, object] = {}
    for name in sorted(names):
        theirs_found = provider.find_model(name, all_providers=their_providers)
        found = model_at(ours, name.lower())
        if theirs_found is None:
            assert found is None, name
        else:
            expected = converted.setdefault(id(theirs_found), upstream.model_of(theirs_found))
            assert found == expected, name


def test_every_provider_is_found_by_the_names_that_genai_prices_knows_it_by() -> None:
    spoken = {provider.id for provider in their_providers}
    spoken |= {
        text for provider in their_providers if provider.provider_match for text in texts_of(provider.provider_match)
    }
    for name in sorted(spoken | {f"{name}-chat" for name in spoken} | {name.upper() for name in spoken}):
        expected = find_provider_by_id(their_providers, name)
        assert _id(provider_of(name)) == (expected and expected.id), name


def _id(provider: Provider | None) -> str | None:
    return provider and provider.id


def answered(folder: Path) -> str:
    """Return what a program says that finds the genai-prices of `folder` before the installed one."""
    done = subprocess.run(
        [sys.executable, "-c", ASKED], env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True
    )
    return done.stderr + done.stdout.strip()


def installed(folder: Path, numbered: str, match: str = 'ClauseStartsWith("brand-new")') -> Path:
    """Lay out a genai-prices of another version, which knows one model only."""
    shutil.copytree(Path(genai_prices.__file__).parent, folder / "genai_prices")
    (folder / "genai_prices" / "data.py").write_text(BRAND_NEW.format(match=match))
    about = folder / f"genai_prices-{numbered}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: genai-prices\nVersion: {numbered}\n")
    return folder


def test_a_newer_table_that_is_installed_is_read_and_named(tmp_path: Path) -> None:
    newer = (("Newcomer", 1_500_000_000, "genai-prices 10.0.0"), None)
    assert answered(installed(tmp_path, "10.0.0")) == f"{list(newer)} True"


@pytest.mark.parametrize("numbered", ["0.0.9", f"{TABLE.version}rc1", TABLE.version])
def test_a_table_that_is_not_newer_is_not_even_imported(tmp_path: Path, numbered: str) -> None:
    assert answered(installed(tmp_path, numbered)) == f"{[None, OPUS]} False"


def test_a_newer_table_that_is_not_understood_is_named_and_the_bundled_one_is_used(tmp_path: Path) -> None:
    told = answered(installed(tmp_path, "10.0.0", match='"brand-new"'))
    warning, _, prices = told.partition("\n")
    assert warning.startswith(
        "genai-prices 10.0.0 is installed but not understood (a rule for names of the unknown kind"
    )
    assert warning.endswith(f"prices are those of {version('genai-prices')}")
    assert prices == f"{[None, OPUS]} True"
