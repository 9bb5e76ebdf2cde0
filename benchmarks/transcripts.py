"""Importing 300 MB of transcripts, importing them again, and reporting on them, against parsing and ccusage."""

import gzip
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from benchmarks.common import Cost, Figure, Samples, Scale, Section, child_environment, micros, scratch

CCUSAGE = ("ccusage", "@ccusage/ccusage-linux-x64")
_ID = re.compile(
    rb'"(uuid|parentUuid|sessionId|requestId|id|tool_use_id|leafUuid|messageId|logicalParentUuid|sourceToolAssistantUUID)"'
    rb':"([^"]{8,})"'
)
_DATE = re.compile(rb'"timestamp":"(\d{4}-\d\d-\d\d)T')
_TEXT = re.compile(rb'("(?:text|content)":")(?=[A-Za-z])')
EXPLANATION = """\
The packaged samples of Claude Code, repeated under new ids until there are as many bytes as said, every repetition
on another day and with words of its own in its messages, so that the tables and the text index grow as they would.
Each step is a process of its own, its start included. Parsing decodes every line with msgspec and keeps nothing: what
no import can undercut. ccusage is a native program that reads the files anew each time."""
CAUSES = """\
msgspec decodes these files at some 500 MB/s, because a few long texts hold most bytes. What the import costs goes by
facts instead: about 50 µs of CPU for each of nearly two facts a line, of which reading and understanding the line is
a third, ids, checks and rows another, SQLite with its sync the last. The reports' time is the start of Python with
SQLAlchemy."""


def _renamed(data: bytes, copy: int) -> bytes:
    """Return a transcript under other ids, of another day, its messages holding words that no other copy has."""
    seen: dict[bytes, bytes] = {}
    words = iter(range(1 << 30))

    def new_id(found: re.Match[bytes]) -> bytes:
        old = found[2]
        if old not in seen:
            made = str(uuid5(NAMESPACE_URL, f"{copy}/{old.decode(errors='replace')}"))
            prefix = old.split(b"_")[0] + b"_" if b"_" in old[:6] else b""
            seen[old] = prefix + made.encode()
        return b'"' + found[1] + b'":"' + seen[old] + b'"'

    @cache
    def new_date(old: bytes) -> bytes:
        return (date.fromisoformat(old.decode()) - timedelta(days=copy)).isoformat().encode()

    def new_text(found: re.Match[bytes]) -> bytes:
        return found[1] + f"w{copy * 31}x{next(words) % 211} ".encode()

    dated = _DATE.sub(lambda found: b'"timestamp":"' + new_date(found[1]) + b"T", data)
    return _TEXT.sub(new_text, _ID.sub(new_id, dated))


def make_transcripts(folder: Path, size: int) -> int:
    """Write at least `size` bytes of transcripts below `folder`/projects; return how many."""
    samples = files("agentrecord") / "samples" / "claude-code" / "projects"
    found = sorted(Path(str(samples)).rglob("*.jsonl.gz"))
    data = [(path, gzip.decompress(path.read_bytes())) for path in found if "subagents" not in path.parts]
    written, copy = 0, 0
    while written < size:
        for path, content in data:
            made = _renamed(content, copy)
            name = uuid5(NAMESPACE_URL, f"{path.name}{copy}")
            target = folder / "projects" / f"{path.parent.name}-{copy // 20}" / f"{name}.jsonl"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(made)
            written += len(made)
        copy += 1
    return written


def process(command: list[str], environment: dict[str, str] | None = None) -> tuple[Cost, str]:
    """Run a program to its end and return what it took, with what it printed."""
    before = os.times()
    wall = time.perf_counter()
    environment = child_environment(**(environment or {}))
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(wall_s=time.perf_counter() - wall, cpu_s=cpu), done.stdout


class Runner:
    """Runs the worker's steps on one folder."""

    def __init__(self, folder: Path, transcripts: Path) -> None:
        """Take where databases go, and the transcripts."""
        self.folder = folder
        self.transcripts = transcripts
        self.peak_kib: dict[str, int] = {}

    def step(self, what: str, database: str = "none") -> Cost:
        """Run one step."""
        command = [sys.executable, "-m", "benchmarks.worker", what, str(self.transcripts), str(self.folder / database)]
        cost, said = process(command, {"PYTHONPYCACHEPREFIX": str(self.folder / "bytecode")})
        self.peak_kib[what] = int(said.split()[-1])
        return cost

    def tool(self, database: str, *arguments: str) -> Cost:
        """Run the command line as its users do."""
        command = [sys.executable, "-m", "agentrecord.cli.main", "--db", str(self.folder / database), *arguments]
        return process(command, {"PYTHONPYCACHEPREFIX": str(self.folder / "bytecode")})[0]

    def fresh(self, what: str) -> Callable[[], Cost]:
        """Return a step that starts with an empty record each time."""

        def run() -> Cost:
            for file in self.folder.glob(f"{what}.db*"):
                file.unlink()
            return self.step(what, f"{what}.db")

        return run


def install_ccusage(folder: Path) -> list[str] | None:
    """Install ccusage from npm and return its command; None where that does not work."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    try:
        # By name: npm leaves the optional native part out where its settings say so.
        process([npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), *CCUSAGE])
        command = [str(folder / "node_modules" / ".bin" / "ccusage"), "daily", "--offline", "--json"]
        process([command[0], "--version"])
    except (subprocess.CalledProcessError, OSError):
        return None
    return command


def _first_imports(runner: Runner, rounds: int) -> list[Figure]:
    variants = {"parse": lambda: runner.step("parse")}
    variants |= {what: runner.fresh(what) for what in ("import-unindexed", "import")}
    samples = Samples().take(variants, rounds)
    return [
        samples.figure("first import, without search index, against parsing", "import-unindexed", "parse", goal=8),
        samples.figure("first import, with search index, against parsing", "import", "parse", goal=15),
    ]


def _memory(folder: Path, runner: Runner, size: int) -> Figure:
    tenth = Runner(folder / "tenth", folder / "tenth" / "transcripts")
    make_transcripts(tenth.transcripts, size // 10)
    tenth.fresh("import")()
    whole, part = runner.peak_kib["import"], tenth.peak_kib["import"]
    return Figure(
        what="peak memory of the import, against that of a tenth of the bytes",
        ours=f"{whole / 1024:.0f} MB", baseline=f"{part / 1024:.0f} MB", result=whole / part, goal=1.25,
    )  # fmt: skip


def _against_ccusage(runner: Runner, ccusage: list[str], rounds: int) -> list[Figure]:
    home = {"CLAUDE_CONFIG_DIR": str(runner.transcripts)}
    variants = {
        "ccusage": lambda: process(ccusage, home)[0],
        "again": lambda: runner.tool("import.db", "import", "claude-code", str(runner.transcripts)),
        "report": lambda: runner.tool("import.db", "usage", "--since", "all"),
    }
    for variant in variants.values():
        variant()  # leaves the bytecode behind
    samples = Samples().take(variants, rounds)
    return [
        samples.figure("importing the unchanged files again, against ccusage", "again", "ccusage", goal=1),
        samples.figure("the usage report, against ccusage", "report", "ccusage", goal=0.5),
    ]


def run(scale: Scale) -> Section:
    """Measure transcripts."""
    section = Section(title="Transcripts", explanation=EXPLANATION, causes=CAUSES)
    size = scale.of(300, 20) * 1_000_000
    with scratch() as folder:
        runner = Runner(folder, folder / "transcripts")
        written = make_transcripts(runner.transcripts, size)
        runner.step("parse")  # leaves the bytecode behind
        count = sum(1 for _ in runner.transcripts.rglob("*.jsonl"))
        section.figures += _first_imports(runner, scale.of(2, 1))
        section.figures.append(_memory(folder, runner, written))
        section.notes.append(f"{written / 1e6:.0f} MB in {count} files.")
        ccusage = install_ccusage(folder / "ccusage")
        if ccusage is None:
            section.notes.append("ccusage could not be installed from npm: the figures against it are left out.")
            again = micros(runner.tool("import.db", "import", "claude-code", str(runner.transcripts)).wall_s)
            section.notes.append(f"Without it: importing again {again}.")
        else:
            section.figures += _against_ccusage(runner, ccusage, scale.of(7, 3))
            said = process([ccusage[0], "--version"])[1].strip().splitlines()[-1]
            section.notes.append(f"ccusage {said}, `daily --offline --json`.")
    return section
