"""How a number of bytes is written for people."""


def size(number: float) -> str:
    """Return a number of bytes as 512 B, 3.4 MB and so on."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError("unreachable: the last unit returns")
