"""From start to the first page, memory, and what an installation brings along, in fresh environments."""

import json
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from http.cookiejar import CookieJar
from importlib.util import find_spec
from pathlib import Path

from benchmarks.common import Figure, Scale, Section, child_environment, scratch

ROOT = Path(__file__).parent.parent
EXPLANATION = """\
The server is started on an empty record; the clock stops when the first page has come. Memory is the process's
resident set after that. Installations are made into fresh environments from the package registry, with bytecode,
without pip; packages and bytes are those that come besides an empty environment."""
_COUNT = """
import importlib.metadata as m, json, sysconfig, pathlib
names = {d.name for d in m.distributions()} - {"pip", "setuptools"}
root = pathlib.Path(sysconfig.get_paths()["purelib"])
left_out = ("pip", "setuptools", "_distutils_hack", "pkg_resources")
size = sum(f.stat().st_size for f in root.rglob("*") if f.is_file()
           and not f.relative_to(root).parts[0].startswith(left_out))
print(json.dumps([len(names), size]))
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _resident_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _page(link: str) -> None:
    """Sign in by the link and read the page that it leads to."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with opener.open(link, timeout=5) as answer:
        answer.read()


def _first_page(folder: Path, place: int) -> tuple[float, float]:
    """Start a server, return the seconds to its first page and its memory in MB."""
    command = [sys.executable, "-m", "agentrecord.cli.main", "serve", "--db", str(folder / f"{place}.db"),
               "--port", str(_free_port())]  # fmt: skip
    environment = child_environment(PYTHONPYCACHEPREFIX=str(folder / "bytecode"))
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
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
                return time.perf_counter() - began, _resident_mb(server.pid)
        finally:
            server.terminate()
    raise TimeoutError(f"the server gave no page, and said {said.strip()!r}")


def _server(folder: Path, scale: Scale) -> list[Figure]:
    _first_page(folder, -1)  # leaves the bytecode behind
    found = [_first_page(folder, place) for place in range(scale.of(7, 2))]
    seconds = statistics.median(one[0] for one in found)
    memory = statistics.median(one[1] for one in found)
    return [
        Figure(what="start to first page", ours=f"{seconds:.2f} s", baseline="–", result=seconds, unit="s", goal=1),
        Figure(what="memory after it", ours=f"{memory:.0f} MB", baseline="–", result=memory, unit="MB", goal=120),
    ]


def _installed(folder: Path, extra: str) -> tuple[int, float]:
    """Install the package with `extra` into a new environment; return its packages and megabytes."""
    home = folder / f"venv{extra.strip('[]')}"
    venv.create(home, with_pip=True)
    python = str(home / "bin" / "python")
    quiet = ["-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--compile"]
    subprocess.run([python, *quiet, f"{ROOT}{extra}"], check=True, capture_output=True)
    clean = child_environment(PYTHONPATH="")
    counted = subprocess.run([python, "-c", _COUNT], check=True, capture_output=True, text=True, env=clean)
    packages, size = json.loads(counted.stdout)
    return packages, size / 1e6


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
    section = Section(title="Start and installation", explanation=EXPLANATION)
    with scratch() as folder:
        if find_spec("agentrecord.cli.main") is None or find_spec("uvicorn") is None:
            section.notes.append("The server was left out: `agentrecord[server]` is not installed.")
        else:
            try:
                section.figures += _server(folder, scale)
            except (TimeoutError, urllib.error.HTTPError) as error:
                section.notes.append(f"The server was left out: {error}.")
        try:
            section.figures += _installs(folder)
        except subprocess.CalledProcessError as error:
            said = (error.stderr or b"").decode() if isinstance(error.stderr, bytes) else error.stderr
            section.notes.append(f"Installations were left out: {(said or str(error)).strip()[-200:]}")
    return section
