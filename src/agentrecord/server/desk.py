"""Signing in and up: attempts are counted first, passwords verified outside any transaction, then somebody is in."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from agentrecord.exceptions import Forbidden, InvalidValue, NotFound, TooManyRequests, WrongCredentials
from agentrecord.records.account import Account, SignIn
from agentrecord.records.audit import Actor
from agentrecord.server.gate import Gate
from agentrecord.server.identity import Identity, IdentityKind
from agentrecord.server.limits import RateLimit
from agentrecord.server.passwords import Passwords
from agentrecord.server.tokens import LIFE, Bearer
from agentrecord.server.trail import Trail

SIGN_IN_LIFE = timedelta(days=30)
SIGN_UPS_PER_MINUTE = 10
REFRESH_MARK = "arer_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a program gets that signs in; `expires_in` is in seconds, and the refresh token works once."""

    access_token: str = field(repr=False)
    token_type: str = "Bearer"
    expires_in: int
    refresh_token: str = field(repr=False)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Desk:
    """Where people sign in, up and out, and change their passwords."""

    def __init__(self, gate: Gate, trail: Trail, *, is_open: bool) -> None:
        """Take the gate, the trail, and whether anybody may sign up."""
        self._gate = gate
        self._store = gate.whole
        self._trail = trail
        self._is_open = is_open
        self._sign_ups = RateLimit(SIGN_UPS_PER_MINUTE)
        self.passwords = Passwords()

    @property
    def is_open(self) -> bool:
        """Say whether anybody may sign up."""
        return self._is_open

    def close(self) -> None:
        """End what hashes passwords."""
        self.passwords.close()

    async def sign_in(self, email: str, password: str, *, address: str | None) -> SignIn:
        """Sign a browser in.

        Raises `WrongCredentials` alike for an unknown e-mail, a wrong password and a disabled account,
        `TooManyRequests` where many failed before, `TooBusy` while many others try.
        """
        return await self._start(email, password, address, refresh_hash=None)

    async def sign_in_program(self, email: str, password: str, *, address: str | None) -> Tokens:
        """Sign a program in; raises as `sign_in` does."""
        refresh = _new_refresh_token()
        return self._tokens(await self._start(email, password, address, refresh_hash=_hash(refresh)), refresh)

    async def refresh(self, token: str, *, address: str | None) -> Tokens:
        """Take a refresh token and return new tokens; raises `WrongCredentials` for one that does not hold."""
        new = _new_refresh_token()
        found = await self._store.sign_ins.refresh(_hash(token), new_hash=_hash(new), address=address)
        if found is None or await self._store.sign_ins.find(found.id) is None:
            raise WrongCredentials("this refresh token is not valid, was used before, or its sign-in has ended")
        return self._tokens(found, new)

    async def sign_out(self, who: Identity) -> None:
        """End the sign-in of whoever asks, by the link that of every browser; a key has none to end."""
        if who.sign_in is not None:
            await self._store.sign_ins.end(who.sign_in, address=who.address)
        elif who.kind is IdentityKind.LINK:
            await self._gate.end_link()

    async def sign_up(self, email: str, password: str, *, address: str | None) -> Account:
        """Make an account; raises `Forbidden` where only administrators make them, `Conflict` for a taken e-mail."""
        if not self._is_open:
            raise Forbidden("nobody signs up here: an administrator makes accounts (AGENTRECORD_SIGN_UP=open opens it)")
        wait_s = self._sign_ups.wait_s(address or "", self._store.engine.maker.clock.now())
        if wait_s:
            raise TooManyRequests(wait_s)
        async with self.passwords.place():
            password_hash = await self.passwords.hash(password)
        by = Actor(kind="nobody", name="nobody", origin=address)
        return await self._store.accounts.sign_up(email, password_hash=password_hash, by=by)

    async def change_password(self, who: Identity, old: str, new: str) -> None:
        """Give the asking account another password and end its other sign-ins; the old password is needed.

        Raises `Forbidden` for who is no account, and as `sign_in` does for a wrong old password.
        """
        if who.sign_in is None:
            raise Forbidden("only an account has a password")
        account = await self._verified(who.name, old, who.address)
        await self._store.sign_ins.forgive(who.name, address=who.address)
        async with self.passwords.place():
            password_hash = await self.passwords.hash(new)
        await self._store.accounts.set_password(account, password_hash, keep=who.sign_in, by=who.actor)

    async def _start(self, email: str, password: str, address: str | None, *, refresh_hash: bytes | None) -> SignIn:
        account = await self._verified(email, password, address)
        expires_at = self._store.engine.maker.clock.now() + SIGN_IN_LIFE
        try:
            return await self._store.sign_ins.start(
                account, expires_at=expires_at, address=address, refresh_hash=refresh_hash
            )
        except NotFound:
            raise _wrong() from None

    async def _verified(self, email: str, password: str, address: str | None) -> UUID:
        """Return whose e-mail and password these are; raises as `sign_in` does."""
        # The place comes first: who is turned away because others are many has not failed.
        async with self.passwords.place():
            try:
                attempt = await self._store.sign_ins.attempt(email, address=address)
            except InvalidValue:
                raise _wrong() from None
            if attempt.wait_s:
                await self._failed(email, address)
                raise TooManyRequests(attempt.wait_s)
            is_right = await self.passwords.verify(attempt.password_hash, password)
            if not is_right or attempt.account is None or attempt.password_hash is None:
                await self._failed(email, address)
                raise _wrong()
            if self.passwords.is_old(attempt.password_hash):
                new = await self.passwords.rehash(password)
                await self._store.accounts.rehash(attempt.account, old=attempt.password_hash, new=new)
            return attempt.account

    async def _failed(self, email: str, address: str | None) -> None:
        if self._trail.is_first("sign-in.failed", email, address or ""):
            await self._store.sign_ins.fail(email, address=address)

    def _tokens(self, found: SignIn, refresh: str) -> Tokens:
        bearer = Bearer(account=found.account_uuid, sign_in=found.id)
        access = self._gate.tokens.make(bearer, now=self._store.engine.maker.clock.now())
        return Tokens(access_token=access, expires_in=int(LIFE.total_seconds()), refresh_token=refresh)


def _wrong() -> WrongCredentials:
    return WrongCredentials("the e-mail or the password is wrong")


def _new_refresh_token() -> str:
    return REFRESH_MARK + secrets.token_urlsafe(32)
