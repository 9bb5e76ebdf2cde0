"""How a length of time is written for people, everywhere alike."""

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


def duration(milliseconds: float) -> str:
    """Return a length of time: 57 ms, 4.02 s, 3 m 12 s, 2 h 05 m, 3 d 4 h."""
    seconds = milliseconds / 1000
    if seconds < 1:
        return f"{milliseconds:.0f} ms"
    if seconds < MINUTE_S:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} m {whole % MINUTE_S:02d} s"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S:02d} m"
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S} h"
