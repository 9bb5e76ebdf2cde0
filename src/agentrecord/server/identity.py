"""Who asks: how they are known, what they may do, and the part of the record that they see."""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any  # `Any`: an ASGI scope
from uuid import UUID

from fastapi import Request

from agentrecord.exceptions import Forbidden
from agentrecord.ids import ProjectId, UserId
from agentrecord.records.audit import Actor
from agentrecord.records.scope import Role
from agentrecord.store import AsyncStore


class IdentityKind(StrEnum):
    """How somebody is known."""

    LINK = "link"
    """The browser that followed the link which `serve` printed: whoever runs the server."""
    ACCOUNT = "account"
    KEY = "key"
    PROVIDER = "provider"
    """A token of the identity provider that the record is set up with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A caller who is known; `store` is what they see: their own user's rows, all of the project for administrators.

    `user` is the external id of their own user, also where they see everybody's: what they create is theirs. It is
    None for keys and links that stand for nobody in particular. Who may look at several projects is told by their
    names, and by that of the `chosen` one, which of them `store` shows; for everybody else both are empty.
    """

    kind: IdentityKind
    id: str
    name: str
    role: Role
    project: ProjectId
    user_uuid: UserId | None = None
    user: str | None = None
    store: AsyncStore
    sign_in: UUID | None = None
    key: UUID | None = None
    by_cookie: bool = False
    address: str | None = None
    chosen: str = ""
    projects: tuple[str, ...] = ()

    @property
    def actor(self) -> Actor:
        """Return the identity as the audit trail names it."""
        return Actor(kind=self.kind, name=self.name, origin=self.address)


def identity_of(request: Request) -> Identity:
    """Return who asks."""
    found: Identity = request.state.identity
    return found


def administrator_of(request: Request) -> Identity:
    """Return who asks; raise `Forbidden` if that is no administrator."""
    found = identity_of(request)
    if not found.role.may_administer:
        raise Forbidden(f"this is for administrators; {found.name} is {found.role} here")
    return found


def address_of(scope: Any) -> str | None:
    """Return the address that a request came from, of an IPv6 one the network: one caller has all of a /64."""
    client = scope.get("client")
    if not client:
        return None
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return str(client[0])[:255] or None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return address.compressed if address.is_loopback else str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
