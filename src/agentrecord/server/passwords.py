"""Passwords: argon2 hashes, made and verified on threads of their own, only so many at once.

Argon2 is slow and large on purpose. Off the event loop and with a bound, it tires nobody but who tries to guess.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from agentrecord.exceptions import InvalidValue, TooBusy

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_CHARS, MAX_BYTES = 12, 1024
THREADS, PLACES = 2, 16
"""How many passwords are hashed at once, and how many may be in work or waiting."""


@cache
def hasher() -> "PasswordHasher":
    """Return what hashes passwords, with OWASP's parameters for argon2id: 19 MiB, two passes, one lane."""
    # With the first password, not when the server starts: most laptops never see one.
    made: PasswordHasher = import_module("argon2").PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
    return made


def hashed(password: str) -> str:
    """Return the hash to keep of a password; raise `InvalidValue` for one that is too short or too long."""
    return hasher().hash(_checked(password))


def _checked(password: str) -> bytes:
    given = _bytes(password)
    if len(password) < MIN_CHARS:
        raise InvalidValue("password", "…", f"has {len(password)} characters; it needs at least {MIN_CHARS}")
    if len(given) > MAX_BYTES:
        raise InvalidValue("password", "…", f"has {len(given)} bytes; shorten it to {MAX_BYTES}")
    return given


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


class Passwords:
    """Hashes and verifies passwords for the server."""

    def __init__(self, *, places: int = PLACES) -> None:
        """Take how many passwords may be in work or waiting at once."""
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="agentrecord-password")
        self._free = places
        # What is verified for an e-mail that nobody has: the same work, so that time tells nothing.
        self._nobodys: str | None = None

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one of the places; raise `TooBusy` if none is free."""
        if self._free <= 0:
            raise TooBusy("too many passwords are being checked at this moment: try again in some seconds")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def hash(self, password: str) -> str:
        """Return the hash to keep of a password; raise `InvalidValue` as `hashed` does."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, hashed, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Say whether a password is the one that was hashed; None takes as long and is always wrong."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._verify, password_hash, password)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        if self._nobodys is None:
            self._nobodys = hasher().hash(secrets.token_bytes(16))
        given = _bytes(password)
        is_right = _matches(password_hash or self._nobodys, given[:MAX_BYTES])
        return is_right and password_hash is not None and len(given) <= MAX_BYTES

    async def rehash(self, password: str) -> str:
        """Return today's hash of a password that was right, whatever would be asked of a new one."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, hasher().hash, _bytes(password))

    def is_old(self, password_hash: str) -> bool:
        """Say whether a hash was made with other parameters than today's."""
        return hasher().check_needs_rehash(password_hash)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=True)


def _matches(password_hash: str, given: bytes) -> bool:
    errors = import_module("argon2.exceptions")
    try:
        return hasher().verify(password_hash, given)
    except (errors.VerificationError, errors.InvalidHashError):
        return False
