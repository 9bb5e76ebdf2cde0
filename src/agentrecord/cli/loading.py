"""Loading modules without looking for garbage: imports make many objects and none that is not kept."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Switch the collector off for what is loaded within; what is there at the end is never gone through again.

    Collecting meanwhile is a fifth of a short command's time, and a tenth of the server's start.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
