"""The operations' signatures, as type checkers see them through both faces."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
USER_CODE = ROOT / "tests" / "typing" / "user_code.py"
CACHE = Path(sys.prefix) / ".mypy_cache"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)


def test_mypy_accepts_what_users_write_and_refuses_what_is_wrong() -> None:
    # The cache is that of `make lint`, which has just read the whole package.
    found = run("mypy", "--strict", "--warn-unused-ignores", "--cache-dir", str(CACHE), str(USER_CODE))
    assert found.returncode == 0, found.stdout


def test_basedpyright_accepts_what_users_write_and_refuses_what_is_wrong() -> None:
    found = run("basedpyright", "--level", "error", str(USER_CODE))
    assert found.returncode == 0, found.stdout
