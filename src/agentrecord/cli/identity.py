"""Who may come in over the network, as the environment says it, and what `serve` asks for before it opens up."""

import getpass
import ipaddress
import os
import secrets
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any  # `Any`: the server's records, which the plain install does not have

from agentrecord.cli.loading import loading
from agentrecord.exceptions import AgentRecordError, InvalidValue
from agentrecord.records.audit import Actor
from agentrecord.records.scope import Role
from agentrecord.store import Store

SECRET_KEY = "server_secret"
MIN_SECRET_BYTES = 32
_PROVIDER = "AGENTRECORD_PROVIDER_"
_TEXTS = ("ISSUER", "AUDIENCE", "KEYS", "USER_CLAIM", "EMAIL_CLAIM", "ROLE_CLAIM")
_FIELDS = (*_TEXTS, "ALGORITHMS", "ROLES", "DEFAULT_ROLE")


def loaded(name: str) -> ModuleType:
    """Return a module of the server's; raise an error that says how to install it if it is not there."""
    # By name, because the plain install has no server in it.
    try:
        with loading():
            return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("agentrecord"):
            raise
        raise AgentRecordError(f"{error.name} is not installed: pip install 'agentrecord[server]'") from error


def whoever_types() -> Actor:
    """Return who runs a command, as the audit trail names them."""
    try:
        name = getpass.getuser()
    except (KeyError, ImportError, OSError):
        # A container may run as a number that has no name.
        name = "unknown"
    return Actor(kind="command line", name=name)


def secret_of(store: Store, environ: Mapping[str, str]) -> bytes:
    """Return what signs cookies and tokens: AGENTRECORD_SECRET, else the record's own, made when first needed."""
    given = environ.get("AGENTRECORD_SECRET", "").encode()
    if not given:
        return store.settings.ensure(SECRET_KEY, secrets.token_bytes(MIN_SECRET_BYTES))
    if len(given) < MIN_SECRET_BYTES:
        raise InvalidValue(
            "AGENTRECORD_SECRET", "…", f"has {len(given)} bytes; make one of at least {MIN_SECRET_BYTES}: "
            "python -c 'import secrets; print(secrets.token_urlsafe(48))'",
        )  # fmt: skip
    return given


def is_near(host: str) -> bool:
    """Say whether only this computer can reach `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_open_to_all(store: Store, environ: Mapping[str, str], *, host: str, names: tuple[str, ...]) -> None:
    """Raise `InvalidValue` unless a server that others can reach has a secret, somebody to let in, and a name."""
    where = host if not is_near(host) else f"{host} with --public-host"
    if not environ.get("AGENTRECORD_SECRET"):
        raise InvalidValue(
            "host", where, "others can reach this: set AGENTRECORD_SECRET (32 bytes or more) first, or use 127.0.0.1 "
            "and a tunnel (ssh -L) from elsewhere",
        )  # fmt: skip
    if not environ.get(f"{_PROVIDER}ISSUER") and not store.accounts.list(only_enabled=True, limit=1).items:
        raise InvalidValue(
            "host", where, "nobody could sign in: make an account first (agentrecord accounts create ana@example.org "
            "--role admin), or set up an identity provider (AGENTRECORD_PROVIDER_ISSUER …)",
        )  # fmt: skip
    if not names and is_wildcard(host):
        raise InvalidValue("host", where, "name the host that people use: --public-host record.example.org")


def is_wildcard(host: str) -> bool:
    """Say whether `host` stands for every address of this computer."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def public_names(host: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the Host names to answer to beside this computer's own."""
    own = () if is_near(host) or is_wildcard(host) else (f"[{host}]" if ":" in host else host,)
    for name in names:
        if not name or any(sign in name for sign in "/:@ "):
            raise InvalidValue(
                "public-host", name, "is no host name; write it as in record.example.org, without a port"
            )
    return (*own, *names)


def identity_settings(environ: Mapping[str, str], *, public_hosts: tuple[str, ...] = ()) -> Any:
    """Return the server's `IdentitySettings` that the environment describes; raise `InvalidValue` for a wrong one."""
    settings = {
        "sign_up_is_open": _choice(environ, "AGENTRECORD_SIGN_UP", ("closed", "open")) == "open",
        "provider": _provider(environ),
        "public_hosts": public_hosts,
    }
    per_minute = environ.get("AGENTRECORD_REQUESTS_PER_MINUTE")
    if per_minute:
        if not (per_minute.isascii() and per_minute.isdigit()):
            raise InvalidValue("AGENTRECORD_REQUESTS_PER_MINUTE", per_minute, "must be a whole number, 0 for no limit")
        settings["requests_per_minute"] = int(per_minute[:9])
    return loaded("agentrecord.server.app").IdentitySettings(**settings)


def _choice(environ: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    given = environ.get(name) or known[0]
    if given not in known:
        raise InvalidValue(name, given, f"is none; use {' or '.join(known)}")
    return given


def _provider(environ: Mapping[str, str]) -> Any:
    given = {field: environ[f"{_PROVIDER}{field}"] for field in _FIELDS if environ.get(f"{_PROVIDER}{field}")}
    if not given:
        return None
    for field in ("ISSUER", "AUDIENCE", "KEYS"):
        if field not in given:
            raise InvalidValue(f"{_PROVIDER}{field}", "", "is needed too: an identity provider has an issuer, an "
                               "audience and keys (a JWKS address or file)")  # fmt: skip
    found: dict[str, Any] = {field.lower(): given[field] for field in _TEXTS if field in given}
    if "ALGORITHMS" in given:
        found["algorithms"] = tuple(part.strip() for part in given["ALGORITHMS"].split(",") if part.strip())
    if "ROLES" in given:
        pairs = [part.partition("=") for part in given["ROLES"].split(",") if part.strip()]
        found["roles"] = {value.strip(): _role("ROLES", role.strip()) for value, _, role in pairs}
    if "DEFAULT_ROLE" in given:
        found["default_role"] = (
            None if given["DEFAULT_ROLE"] == "none" else _role("DEFAULT_ROLE", given["DEFAULT_ROLE"])
        )
    return loaded("agentrecord.server.provider").ProviderSettings(**found)


def _role(field: str, given: str) -> Role:
    known = (Role.READ, Role.WRITE, Role.ADMIN)
    if given not in known:
        raise InvalidValue(f"{_PROVIDER}{field}", given, f"is no role; use {', '.join(known)}")
    return Role(given)


def from_environment() -> Mapping[str, str]:
    """Return the environment."""
    return os.environ
