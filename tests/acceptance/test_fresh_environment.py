"""In a fresh environment: few packages, little to download, every command, and a server that is there at once.

The environments hold what the package needs, installed once by the Makefile. What is tried in them is the wheel of the
source as it is now, laid beside it as pip would: with its data, its entry points and its bytecode.
"""

import compileall
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from benchmarks.common import child_environment
from benchmarks.startup import counted, first_page

from agentrecord.pricing.table import bundled

ROOT = Path(__file__).parent.parent.parent
TRIES = 5
"""A start that something else slowed down is tried again; one that is slow by itself is slow each time."""

EVERY_COMMAND = """
import click
from click.testing import CliRunner
from agentrecord.cli.main import program

def told(command, words):
    done = CliRunner().invoke(program, [*words, "--help"])
    assert done.exit_code == 0, (words, done.output)
    print("agentrecord", *words)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            told(command.get_command(context, name), [*words, name])

told(program, [])
"""


def python_of(kind: str) -> Path:
    """Return the interpreter of a fresh environment; fail with the command that makes it where it is missing."""
    python = Path(sys.prefix) / "fresh" / kind / "bin" / "python"
    assert python.exists(), f"there is no fresh environment to try; make it: make {Path(sys.prefix).name}/.fresh"
    return python


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this source, and lay out what it holds."""
    wheels, site = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(wheels)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert compileall.compile_dir(site, quiet=1)
    return site


def asked(package: Path, *words: object, kind: str = "plain", code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run Python in a fresh environment with the package in it."""
    done = subprocess.run(
        [str(python_of(kind)), *map(str, words)], capture_output=True, text=True, check=False, timeout=60,
        env=child_environment(PYTHONPATH=str(package)),
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(("kind", "most_packages", "most_mb"), [("plain", 15, 50), ("server", 40, 100)])
def test_an_installation_is_small(package: Path, kind: str, most_packages: int, most_mb: int) -> None:
    packages, megabytes = counted(python_of(kind), package)
    assert 5 < packages <= most_packages
    assert 20 < megabytes <= most_mb


def test_every_command_of_a_plain_installation_tells_how_to_use_it(package: Path) -> None:
    told = asked(package, "-c", EVERY_COMMAND).stdout.splitlines()
    assert {"agentrecord serve", "agentrecord cost", "agentrecord import", "agentrecord db doctor"} <= set(told)
    assert len(told) > 40


def test_a_plain_installation_imports_and_adds_up(package: Path, tmp_path: Path) -> None:
    program = ("-m", "agentrecord.cli.main", "--db", tmp_path / "record.db")
    assert asked(package, *program, "--version").stdout.startswith("agentrecord ")
    asked(package, *program, "import", "claude-code", package / "agentrecord" / "samples" / "claude-code", "--no-index")
    spent = json.loads(asked(package, *program, "cost", "--json").stdout)
    assert spent["total"]["calls"] > 100
    assert spent["total"]["cost_usd"] > 1
    used = json.loads(asked(package, *program, "prices", "--json").stdout)["items"]
    assert {"Anthropic", bundled().source} <= {row[name] for row in used for name in ("host", "source")}


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["serve"], "server"),
        (["--db", "postgresql://localhost/none", "sessions"], "postgres"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_what_needs_an_extra_names_it(package: Path, tmp_path: Path, words: list[str], extra: str) -> None:
    program = ("-m", "agentrecord.cli.main", "--db", tmp_path / "record.db")
    said = asked(package, *program, *words, code=1).stderr
    assert "is not installed" in said
    assert f"pip install 'agentrecord[{extra}]'" in said


@pytest.mark.alone
def test_a_server_shows_its_first_page_within_a_second_and_120_megabytes(package: Path, tmp_path: Path) -> None:
    tries = []
    for place in range(TRIES):
        tries.append(first_page(python_of("server"), tmp_path / f"{place}.db", PYTHONPATH=str(package)))
        assert tries[-1].memory_mb <= 120
        if tries[-1].seconds <= 1:
            break
    assert min(one.seconds for one in tries) <= 1, tries
