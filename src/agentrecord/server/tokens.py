"""JSON Web Tokens, read and made in this module only.

The algorithm is the key's, never the header's: a token chooses among the keys that we hold and nothing else. Sizes,
headers that carry or name keys, and the claims' times are checked here, by the record's clock.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import import_module
from typing import Any  # `Any`: claims are JSON, and a library's key is whatever its kind is
from uuid import UUID, uuid4

from agentrecord.exceptions import InvalidValue

MAX_TOKEN_BYTES = 8192
LEEWAY = timedelta(seconds=30)
LIFE = timedelta(minutes=15)
MIN_SECRET_BYTES = 32
ISSUER, AUDIENCE = "agentrecord", "agentrecord"
_FORBIDDEN_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"})
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_REQUIRED = ["exp", "iss", "aud"]


@cache
def library() -> Any:
    """Return PyJWT, imported with the first token.

    It takes all of cryptography with it, a tenth of the server's start, and on a laptop no token ever comes.
    """
    return import_module("jwt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified:
    """What a token says of itself before anything is proven: good for choosing a key, and for nothing else."""

    issuer: str
    key_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """A key that verifies tokens, with the one algorithm that it is for."""

    key: Any
    algorithm: str


def checked_secret(secret: bytes) -> bytes:
    """Return a secret that is long enough to sign with; raise `InvalidValue` for a shorter one."""
    if len(secret) < MIN_SECRET_BYTES:
        raise InvalidValue("secret", "…", f"has {len(secret)} bytes; make one of at least {MIN_SECRET_BYTES}")
    return secret


def unverified(token: str) -> Unverified | None:
    """Return what a token says of itself; None if it is too long, no token, or carries what no token of ours may."""
    if len(token) > MAX_TOKEN_BYTES or token.count(".") != 2 or not token.isascii():
        return None
    jwt = library()
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    kind, key_id, issuer = header.get("typ", "JWT"), header.get("kid"), claims.get("iss")
    if _FORBIDDEN_HEADERS & header.keys() or not isinstance(kind, str) or kind.lower() not in _TYPES:
        return None
    if not isinstance(issuer, str) or not (key_id is None or isinstance(key_id, str)):
        return None
    return Unverified(issuer=issuer, key_id=key_id)


def verified(
    token: str, key: TokenKey, *, issuer: str, audience: str, now: datetime, required: tuple[str, ...] = ()
) -> Mapping[str, Any] | None:
    """Return the claims of a token that `key` has signed and that holds `now`; None for any other."""
    jwt = library()
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            issuer=issuer,
            audience=audience,
            options={
                "require": [*_REQUIRED, *required],
                # The times are checked below, by the record's clock.
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    return claims if _holds(claims, now) else None


def _holds(claims: Mapping[str, Any], now: datetime) -> bool:
    at, leeway = now.timestamp(), LEEWAY.total_seconds()
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in times.values()):
        return False
    return times["exp"] > at - leeway and all(times.get(name, at) <= at + leeway for name in ("nbf", "iat"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whom one of our own tokens stands for: an account, and the sign-in that the token came from."""

    account: UUID
    sign_in: UUID


class AccessTokens:
    """The record's own tokens: HS256 with a key derived from its secret, good for 15 minutes."""

    def __init__(self, secret: bytes) -> None:
        """Take the record's secret; raise `InvalidValue` if it is too short."""
        # A key of its own: what signs cookies never signs a token.
        derived = hmac.new(checked_secret(secret), b"agentrecord access token", hashlib.sha256).digest()
        self._key = TokenKey(key=derived, algorithm="HS256")

    def make(self, bearer: Bearer, *, now: datetime) -> str:
        """Return a token for a sign-in."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(bearer.account),
            "sid": str(bearer.sign_in),
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + LIFE).timestamp()),
            "jti": uuid4().hex,
        }
        made: str = library().encode(claims, self._key.key, algorithm=self._key.algorithm)
        return made

    def read(self, token: str, *, now: datetime) -> Bearer | None:
        """Return whom a token stands for; None for one that is not ours or does not hold."""
        claims = verified(
            token, self._key, issuer=ISSUER, audience=AUDIENCE, now=now, required=("sub", "sid", "iat", "nbf", "jti")
        )
        if claims is None:
            return None
        try:
            return Bearer(account=UUID(claims["sub"]), sign_in=UUID(claims["sid"]))
        except (ValueError, AttributeError, TypeError):
            return None
