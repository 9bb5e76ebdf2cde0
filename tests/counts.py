"""How often a test repeats: a few times by default, many times with AGENTRECORD_LONG=1."""

import os


def is_long() -> bool:
    """Say whether the full counts were asked for."""
    return os.environ.get("AGENTRECORD_LONG", "") not in ("", "0")


def count(short: int, long: int) -> int:
    """Return `long` where the full counts were asked for, else `short`."""
    return long if is_long() else short
