"""Which process answers a turn, and whether it is still alive: so that a restart finds what a crash left at once."""

import os
import secrets
import socket
from pathlib import Path

NAMESPACE = Path("/proc/self/ns/pid")
BOOT = Path("/proc/sys/kernel/random/boot_id")


def own_name() -> str:
    """Return a name for this process: its computer and process space, its id, and a random part."""
    return f"{_computer()}:{os.getpid()}:{secrets.token_hex(4)}"


def is_dead(owner: str, *, own: str) -> bool:
    """Say whether the process called `owner` is known to be gone; of another computer's processes that is not known."""
    computer, _, rest = owner.rpartition(":")[0].rpartition(":")
    if owner == own or computer != _computer() or not rest.isdigit():
        return False
    return int(rest) == os.getpid() or not _lives(int(rest))


def _computer() -> str:
    # Computers may share a name, and containers one computer's name; process ids mean something within one of them.
    space = NAMESPACE.stat().st_ino if NAMESPACE.exists() else 0
    boot = BOOT.read_text().strip() if BOOT.exists() else ""
    return f"{socket.gethostname()[:100]}/{boot}/{space}"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
