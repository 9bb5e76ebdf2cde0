"""The user's own identity provider (OpenID Connect, or anything else that signs tokens): whose token it is.

Keys come from the provider's JWKS address or from a file, are kept for ten minutes, and are fetched anew when a token
names one that is not known, but not more often than every 30 seconds whatever tokens come.
"""

import asyncio
import http.client
import ipaddress
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any  # `Any`: keys and claims are JSON
from urllib.parse import urlsplit

from agentrecord.codec import values
from agentrecord.exceptions import InvalidValue, ProviderUnavailable
from agentrecord.records.project import UNASSIGNED
from agentrecord.records.scope import Role
from agentrecord.server.tokens import ISSUER, TokenKey, library, verified

logger = logging.getLogger("agentrecord.server")

KEPT_S, PAUSE_S, TIMEOUT_S = 600.0, 30.0, 5.0
MAX_KEYS_BYTES = 256 * 1024
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_KINDS = {"RSA": ("RS", "PS"), "EC": ("ES",), "OKP": ("EdDSA",)}
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Which provider, and what its claims mean; `keys` is a JWKS address (https, or http on this computer) or a file.

    `roles` maps values of the claim `role_claim` to roles; `default_role` is everybody else's, None to refuse them.
    """

    issuer: str
    audience: str
    keys: str
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    user_claim: str = "sub"
    email_claim: str = "email"
    role_claim: str | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)
    default_role: Role | None = Role.WRITE

    def __post_init__(self) -> None:
        """Refuse what would let in anybody, or nobody."""
        for name in ("issuer", "audience", "keys", "user_claim"):
            if not getattr(self, name):
                raise InvalidValue(name, getattr(self, name), "is needed for an identity provider")
        if self.issuer == ISSUER:
            raise InvalidValue("issuer", self.issuer, "is the record's own; name the provider's")
        for algorithm in self.algorithms:
            if algorithm not in ALGORITHMS:
                known = ", ".join(ALGORITHMS)
                raise InvalidValue("algorithms", algorithm, f"is none that a provider may sign with; use {known}")
        for role in (*self.roles.values(), self.default_role):
            if role is Role.OPERATOR:
                raise InvalidValue("roles", role, "cannot come from a provider; admin is the most")
        if "://" in self.keys:
            _checked_address(self.keys)


def _checked_address(address: str) -> None:
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        is_near = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_near = False
    if not host or parts.username or not (parts.scheme == "https" or (parts.scheme == "http" and is_near)):
        raise InvalidValue("keys", address, "must be an https address without a user name in it, or a file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom a provider's token stands for."""

    user: str
    role: Role
    email: str | None = None


class Provider:
    """Reads the tokens of one identity provider."""

    def __init__(self, settings: ProviderSettings, *, timer: Callable[[], float] = time.monotonic) -> None:
        """Take the settings; the keys are read with the first token. `timer` tells seconds."""
        self._settings = settings
        self._timer = timer
        self._keys: dict[str | None, TokenKey] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading = asyncio.Lock()

    def is_issuer(self, issuer: str) -> bool:
        """Say whether tokens of `issuer` are this provider's."""
        return issuer == self._settings.issuer

    async def read(self, token: str, key_id: str | None, *, now: datetime) -> Person | None:
        """Return whom a token stands for; None for one that is not the provider's or does not hold."""
        key = await self._key(key_id)
        if key is None:
            return None
        given = self._settings
        claims = verified(token, key, issuer=given.issuer, audience=given.audience, now=now)
        return None if claims is None else self._person(claims)

    def _person(self, claims: Mapping[str, Any]) -> Person | None:
        role, email = self._role(claims), claims.get(self._settings.email_claim)
        try:
            user = values.name(self._settings.user_claim, claims.get(self._settings.user_claim))
            known_email = values.email("email", email) if isinstance(email, str) else None
        except InvalidValue as refused:
            logger.warning("a token of %s is refused: %s", self._settings.issuer, refused)
            return None
        # The reserved user owns the rows of nobody: no person may be it.
        return None if role is None or user == UNASSIGNED else Person(user=user, role=role, email=known_email)

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        given = claims.get(self._settings.role_claim) if self._settings.role_claim else None
        told = given if isinstance(given, list) else [given]
        found = [
            self._settings.roles[value] for value in told if isinstance(value, str) and value in self._settings.roles
        ]
        return max(found, key=list(Role).index) if found else self._settings.default_role

    async def _key(self, key_id: str | None) -> TokenKey | None:
        fresh = self._read_at is not None and self._timer() - self._read_at < KEPT_S
        if not fresh or self._chosen(key_id) is None:
            await self._refresh(key_id)
        if self._read_at is None:
            raise ProviderUnavailable(f"the keys of {self._settings.issuer} cannot be read; the log tells why")
        return self._chosen(key_id)

    def _chosen(self, key_id: str | None) -> TokenKey | None:
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def _refresh(self, key_id: str | None) -> None:
        async with self._reading:
            now = self._timer()
            if self._tried_at is not None and now - self._tried_at < PAUSE_S:
                return
            self._tried_at = now
            try:
                document = await asyncio.to_thread(_document, self._settings.keys)
                self._keys = _keys(document, self._settings.algorithms)
            except (OSError, ValueError, http.client.HTTPException) as error:
                # The keys known so far go on: a provider that is away for an hour locks nobody out.
                logger.warning("the keys of %s cannot be read: %s", self._settings.issuer, error)
                return
            self._read_at = now


def _document(keys: str) -> bytes:
    if "://" not in keys:
        with Path(keys).open("rb") as file:
            return _bounded(file.read(MAX_KEYS_BYTES + 1))
    parts = urlsplit(keys)
    # Not urllib: it follows redirects and the environment's proxies, to wherever those lead.
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise ValueError(f"{keys} answered {response.status}")
        return _bounded(_read(response, time.monotonic() + TIMEOUT_S))
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, until: float) -> bytes:
    # The socket's time-out is for each piece: one that drips would be read forever.
    found = bytearray()
    while len(found) <= MAX_KEYS_BYTES and (piece := response.read1(16 * 1024)):
        found += piece
        if time.monotonic() > until:
            raise TimeoutError(f"no whole answer within {TIMEOUT_S:.0f} s")
    return bytes(found)


def _bounded(document: bytes) -> bytes:
    if len(document) > MAX_KEYS_BYTES:
        raise ValueError(f"the key set has more than {MAX_KEYS_BYTES} bytes")
    return document


def _keys(document: bytes, algorithms: tuple[str, ...]) -> dict[str | None, TokenKey]:
    try:
        listed = json.loads(document)["keys"]
        found = {entry.get("kid"): key for entry in listed if (key := _token_key(entry, algorithms)) is not None}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the key set is none: {error!r}") from error
    if not found:
        raise ValueError(f"the key set holds no key for {', '.join(algorithms)}")
    return found


def _token_key(entry: Mapping[str, Any], algorithms: tuple[str, ...]) -> TokenKey | None:
    """Return a key with the one algorithm that it is for; None for one that may verify nothing here."""
    kind = entry.get("kty")
    if kind not in _KINDS or entry.get("use", "sig") != "sig":
        return None
    if kind == "EC":
        algorithm = _CURVES.get(str(entry.get("crv")))
    else:
        algorithm = entry.get("alg") or next((a for a in algorithms if a.startswith(_KINDS[kind])), None)
    if algorithm not in algorithms or not str(algorithm).startswith(_KINDS[kind]):
        return None
    jwt = library()
    try:
        return TokenKey(key=jwt.PyJWK(dict(entry), algorithm=algorithm).key, algorithm=str(algorithm))
    except jwt.PyJWTError as error:
        logger.warning("a key of the identity provider is left out: %s", error)
        return None
