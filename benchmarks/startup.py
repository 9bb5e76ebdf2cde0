"""From start to the first page, memory, and what an installation brings along, in fresh environments."""

import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import CookieJar
from importlib.util import find_spec
from pathlib import Path

from benchmarks.common import Figure, Scale, Section, child_environment, micros, scratch
from benchmarks.many_calls import fill

ROOT = Path(__file__).parent.parent
CALLS = 10_000
EXPLANATION = """\
The server is started on an empty record; the clock stops when the first page has come, and does not count what the
server stood ready to run while other work had the cores. CPU is its own until then, memory its resident set after that.
Installations are made into fresh environments from the package registry, with bytecode; packages and bytes are those
that come besides an empty environment."""
CAUSES = """\
the time of `cost` is that of its imports, all but 12 ms of it: of 289 ms that Python counts, SQLAlchemy takes 65, the
standard library 54, the 146 records 81 (`dataclasses` compiles six functions for each), all the store's operations 49,
of which the command needs a tenth, and the tables 22."""
_COUNT = """
import importlib.metadata as m, json, pathlib, sys, sysconfig
places = [pathlib.Path(place) for place in (sysconfig.get_paths()["purelib"], *sys.argv[1:])]
names = {d.name.casefold() for d in m.distributions(path=[str(place) for place in places])}
size = sum(f.stat().st_size for place in places for f in place.rglob("*") if f.is_file())
print(json.dumps([len(names), size]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a server took until its first page had come, and its memory then.

    `seconds` leaves out what it stood ready to run while other work had the cores: that says nothing about it.
    """

    seconds: float
    cpu_s: float
    memory_mb: float


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(process: int, wall_s: float) -> Start:
    """Return what a process has taken since it was started `wall_s` ago."""
    about = Path(f"/proc/{process}")
    times = about.joinpath("stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    resident = next(line for line in about.joinpath("status").read_text().splitlines() if line.startswith("VmRSS"))
    waited_ns = int(about.joinpath("schedstat").read_text().split()[1])
    return Start(
        seconds=wall_s - waited_ns / 1e9,
        cpu_s=(int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"),
        memory_mb=int(resident.split()[1]) / 1024,
    )


def _page(link: str) -> None:
    """Sign in by the link and read the page that it leads to."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with opener.open(link, timeout=5) as answer:
        answer.read()


def first_page(python: Path | str, record: Path, **environment: str) -> Start:
    """Start the server of `python` on a new `record`, ask for the first page, and return what that took."""
    command = [str(python), "-m", "agentrecord.cli.main", "serve", "--db", str(record), "--port", str(_free_port())]
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=child_environment(**environment)
    ) as server:
        try:
            said = "" if server.stdout is None else server.stdout.readline()
            link = re.search(r"http\S+", said)
            while link is not None and time.perf_counter() - began < 20 and server.poll() is None:
                try:
                    _page(link[0])
                except urllib.error.HTTPError:
                    raise
                except OSError:
                    time.sleep(0.005)
                    continue
                return _start(server.pid, time.perf_counter() - began)
        finally:
            server.terminate()
    raise TimeoutError(f"the server gave no page, and said {said.strip()!r}")


def _server(folder: Path, scale: Scale) -> list[Figure]:
    bytecode = str(folder / "bytecode")
    first_page(sys.executable, folder / "first.db", PYTHONPYCACHEPREFIX=bytecode)  # leaves the bytecode behind
    found = [
        first_page(sys.executable, folder / f"{place}.db", PYTHONPYCACHEPREFIX=bytecode)
        for place in range(scale.of(7, 2))
    ]
    seconds = statistics.median(one.seconds for one in found)
    cpu = statistics.median(one.cpu_s for one in found)
    memory = statistics.median(one.memory_mb for one in found)
    return [
        Figure(what="start to first page", ours=f"{seconds:.2f} s", baseline="–", result=seconds, unit="s", goal=1),
        Figure(what="CPU until then", ours=f"{cpu:.2f} s", baseline="–", result=cpu, unit="s"),
        Figure(what="memory after it", ours=f"{memory:.0f} MB", baseline="–", result=memory, unit="MB", goal=120),
    ]


def _command(folder: Path, *words: str) -> float:
    """Run the command line, and return the CPU seconds of its process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "agentrecord.cli.main", *words], check=True, capture_output=True,
        env=child_environment(PYTHONPYCACHEPREFIX=str(folder / "bytecode")),
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _commands(folder: Path, scale: Scale) -> list[Figure]:
    record = folder / "calls.db"
    fill(record, CALLS, datetime.now(UTC))
    found = []
    for words, what, goal in (
        (("--version",), "`agentrecord --version`, CPU", 0.1),
        (("--db", str(record), "cost"), f"`agentrecord cost` over {CALLS:,} calls, CPU", 0.3),
    ):
        _command(folder, *words)
        seconds = statistics.median(_command(folder, *words) for _ in range(scale.of(15, 3)))
        found.append(Figure(what=what, ours=micros(seconds), baseline="–", result=seconds, unit="s", goal=goal))
    return found


def counted(python: Path | str, *beside: Path) -> tuple[int, float]:
    """Return how many packages an environment holds, and how many megabytes, with what lies `beside` it."""
    done = subprocess.run(
        [str(python), "-c", _COUNT, *map(str, beside)], check=True, capture_output=True, text=True,
        env=child_environment(PYTHONPATH=""),
    )  # fmt: skip
    packages, size = json.loads(done.stdout)
    return packages, size / 1e6


def _installed(folder: Path, extra: str) -> tuple[int, float]:
    """Install the package with `extra` into a new environment; return its packages and megabytes."""
    home = folder / f"venv{extra.strip('[]')}"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", str(python)]
    subprocess.run([*pip, "install", "--compile", f"{ROOT}{extra}"], check=True, capture_output=True)
    return counted(python)


def _installs(folder: Path) -> list[Figure]:
    figures: list[Figure] = []
    for extra, what, packages_goal, size_goal in (("", "plain", 15, 50), ("[server]", "with server", 40, 100)):
        packages, size = _installed(folder, extra)
        figures += [
            Figure(what=f"packages, {what}", ours=str(packages), baseline="–", result=packages, unit="packages",
                   goal=packages_goal),
            Figure(what=f"installed size, {what}", ours=f"{size:.0f} MB", baseline="–", result=size, unit="MB",
                   goal=size_goal),
        ]  # fmt: skip
    return figures


def run(scale: Scale) -> Section:
    """Measure start, memory and installation."""
    section = Section(title="Start and installation", explanation=EXPLANATION, causes=CAUSES)
    with scratch() as folder:
        if find_spec("agentrecord.cli.main") is None or find_spec("uvicorn") is None:
            section.notes.append("The server was left out: `agentrecord[server]` is not installed.")
        else:
            try:
                section.figures += _server(folder, scale)
            except (TimeoutError, urllib.error.HTTPError) as error:
                section.notes.append(f"The server was left out: {error}.")
        section.figures += _commands(folder, scale)
        try:
            section.figures += _installs(folder)
        except subprocess.CalledProcessError as error:
            said = (error.stderr or b"").decode() if isinstance(error.stderr, bytes) else error.stderr
            section.notes.append(f"Installations were left out: {(said or str(error)).strip()[-200:]}")
    return section
