"""Who a credential stands for: API keys, our own access tokens, the identity provider's, and cookies.

Role, membership and state are read from the record at each request, so that a demotion, a revoked key or an ended
sign-in counts at once, whichever process it was made in.
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from agentrecord.ids import ProjectId, UserId
from agentrecord.records.account import Account
from agentrecord.records.scope import Role
from agentrecord.records.scope import Scope as RecordScope
from agentrecord.server import cookies
from agentrecord.server.identity import Identity, IdentityKind
from agentrecord.server.provider import Provider
from agentrecord.server.tokens import ISSUER, AccessTokens, checked_secret, unverified
from agentrecord.store import AsyncStore
from agentrecord.store.keys import MARK

MAX_STORES = 1000
LINK_TURN = "link_turn"
"""The setting of the record that is part of what signs the link's cookies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """Somebody's place in a project."""

    project: ProjectId
    role: Role
    user_uuid: UserId
    user: str


class Gate:
    """Tells who asks."""

    def __init__(
        self, store: AsyncStore, *, secret: bytes, sign_in_token: str | None, provider: Provider | None = None
    ) -> None:
        """Take the record as the link's bearer sees it, what signs, the link's token, and the identity provider."""
        self.secret = checked_secret(secret)
        self.tokens = AccessTokens(secret)
        self.whole = AsyncStore(engine=store.engine, scope=RecordScope(project=store.scope.project))
        """The record as the server itself sees it: all of the served project."""
        self._link_store = store
        self._link_token = sign_in_token
        self._provider = provider
        self._stores: dict[RecordScope, AsyncStore] = {}

    def is_link_token(self, given: str | None) -> bool:
        """Say whether `given` is the token of the link that `serve` printed."""
        return bool(given and self._link_token) and cookies.same_secret(given or "", self._link_token or "")

    async def link_secret(self) -> bytes:
        """Return what signs the link's cookies: in every process the same, another once `end_link` was called."""
        return self.secret + (await self.whole.settings.get(LINK_TURN) or b"")

    async def end_link(self) -> None:
        """Refuse every cookie that the link gave so far; the link itself goes on."""
        await self.whole.settings.set(LINK_TURN, secrets.token_bytes(16))

    async def by_cookie(self, headers: Mapping[str, str], *, is_https: bool, address: str | None) -> Identity | None:
        """Return whose browser sent a cookie of ours; None without one that holds."""
        value = cookies.cookie_of(headers, self.secret, is_https=is_https)
        if not value:
            return None
        if self._link_token is not None and cookies.is_links(value):
            holds = cookies.is_cookie(value, await self.link_secret(), now=time.time())
            return await self._link(address) if holds else None
        sign_in = cookies.sign_in_of_cookie(value, self.secret)
        if sign_in is None:
            return None
        return await self._of_sign_in(sign_in, address, by_cookie=True)

    async def by_credential(self, credential: str, *, address: str | None) -> Identity | None:
        """Return who sent a credential in the Authorization header; None for one that does not hold."""
        if credential.startswith(f"{MARK}_"):
            return await self._of_key(credential, address)
        told = unverified(credential)
        if told is None:
            return None
        now = self.whole.engine.maker.clock.now()
        if told.issuer == ISSUER:
            bearer = self.tokens.read(credential, now=now)
            found = None if bearer is None else await self._of_sign_in(bearer.sign_in, address, by_cookie=False)
            return found if found is not None and bearer is not None and found.id == str(bearer.account) else None
        if self._provider is not None and self._provider.is_issuer(told.issuer):
            return await self._of_provider(self._provider, credential, told.key_id, address)
        return None

    async def _link(self, address: str | None) -> Identity:
        scope = self._link_store.scope
        user = None if scope.user is None else await self.whole.users.get(scope.user)
        return Identity(
            kind=IdentityKind.LINK, id="link", name="this computer", role=scope.role, project=scope.project,
            user_uuid=scope.user, user=None if user is None else user.external_id, store=self._link_store,
            by_cookie=True, address=address,
        )  # fmt: skip

    async def _of_key(self, secret: str, address: str | None) -> Identity | None:
        key = await self.whole.keys.find(secret)
        if key is None:
            return None
        # A key of one user sees that user's rows only, whatever its role: it was made narrow on purpose.
        scope = RecordScope(project=key.project_id, user=key.user_uuid, role=key.role)
        return Identity(
            kind=IdentityKind.KEY, id=str(key.id), name=key.prefix, role=key.role, project=key.project_id,
            user_uuid=key.user_uuid, user=key.user, store=self._seen(scope), key=key.id, address=address,
        )  # fmt: skip

    async def _of_sign_in(self, sign_in: UUID, address: str | None, *, by_cookie: bool) -> Identity | None:
        account: Account | None = await self.whole.sign_ins.find(sign_in)
        if account is None:
            return None
        member = _Member(project=account.project_id, role=account.role, user_uuid=account.user_uuid, user=account.user)
        return Identity(
            kind=IdentityKind.ACCOUNT, id=str(account.id), name=account.email, role=member.role,
            project=member.project, user_uuid=member.user_uuid, user=member.user, store=self._of_member(member),
            sign_in=sign_in, by_cookie=by_cookie, address=address,
        )  # fmt: skip

    async def _of_provider(
        self, provider: Provider, token: str, key_id: str | None, address: str | None
    ) -> Identity | None:
        person = await provider.read(token, key_id, now=self.whole.engine.maker.clock.now())
        if person is None:
            return None
        user = await self.whole.users.find(person.user)
        if user is None or (user.email is None and person.email is not None):
            user = await self.whole.users.ensure(person.user, email=person.email)
        member = _Member(project=self.whole.scope.project, role=person.role, user_uuid=user.id, user=person.user)
        return Identity(
            kind=IdentityKind.PROVIDER, id=person.user, name=person.email or person.user, role=member.role,
            project=member.project, user_uuid=user.id, user=person.user, store=self._of_member(member),
            address=address,
        )  # fmt: skip

    def _of_member(self, member: _Member) -> AsyncStore:
        sees = None if member.role.may_administer else member.user_uuid
        return self._seen(RecordScope(project=member.project, user=sees, role=member.role))

    def _seen(self, scope: RecordScope) -> AsyncStore:
        found = self._stores.get(scope)
        if found is None:
            if len(self._stores) >= MAX_STORES:
                self._stores.clear()
            found = self._stores[scope] = AsyncStore(engine=self.whole.engine, scope=scope)
        return found
