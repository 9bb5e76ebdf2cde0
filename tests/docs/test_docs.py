"""The documents say what is so: their snippets run, their links lead somewhere, their reference is the code's."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentrecord.records.measures import WordKind
from agentrecord.store.words import RUN_WORDS, SESSION_WORDS, Words

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"])
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
SNIPPET = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file(document: Path) -> None:
    missing = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_snippets_run(document: Path, tmp_path: Path) -> None:
    for snippet in SNIPPET.findall(document.read_text()):
        ended = subprocess.run(
            [sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr


def test_the_reference_is_what_the_code_says() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    import reference

    folder = ROOT / "docs" / "reference"
    hint = "run: python scripts/reference.py"
    assert (folder / "operations.md").read_text() == reference.operations(), hint
    assert (folder / "commands.md").read_text() == reference.commands(), hint
    assert (folder / "filters.md").read_text() == reference.filters(), hint


@pytest.mark.parametrize("words", [RUN_WORDS, SESSION_WORDS], ids=["runs", "sessions"])
def test_the_example_of_every_word_of_a_filter_is_one_of_that_word(words: Words) -> None:
    for name, word in words.known.items():
        (term,) = words.parse(word.example).terms
        assert term.word == name
        assert (word.choices != ()) == (word.kind is WordKind.CHOICE)


def test_the_readme_names_only_commands_that_exist() -> None:
    import click

    from agentrecord.cli.main import program as cli

    context = click.Context(cli)
    known = set(cli.list_commands(context)) | {"db"}
    named = set(re.findall(r"agentrecord ([a-z][a-z-]+)", "\n".join(d.read_text() for d in DOCUMENTS)))
    prose = {"to", "is", "as", "with", "prints", "knows"}
    assert named - known - prose == set()


def test_no_module_is_too_long_to_read_in_one_go() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "src").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}
