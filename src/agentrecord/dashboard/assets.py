"""Style sheets, scripts and the icon, at addresses that change with what is in them: a browser keeps them for good."""

from functools import cache
from hashlib import sha256
from pathlib import Path

STATIC = Path(__file__).parent / "static"
FOLDER = "/static/"
"""Where a server has them."""

_LENGTH = 12


def fingerprint(folder: Path) -> str:
    """Return what a folder's files together are known by: the beginning of their SHA-256, in hexadecimal."""
    whole = sha256()
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        whole.update(f"{path.name} {len(content)}\n".encode())
        whole.update(content)
    return whole.hexdigest()[:_LENGTH]


@cache
def version() -> str:
    """Return what this installation's files are known by."""
    return fingerprint(STATIC)


def is_version(segment: str) -> bool:
    """Say whether the segment of a path may be a version, of this or of another installation."""
    return len(segment) == _LENGTH and set(segment) <= set("0123456789abcdef")


@cache
def asset(name: str) -> str:
    """Return the address of a file, such as `style.css`; raise `FileNotFoundError` for one that is not there."""
    if not (STATIC / name).is_file():
        raise FileNotFoundError(f"{name} is none of the dashboard's files")
    return f"{FOLDER}{version()}/{name}"
