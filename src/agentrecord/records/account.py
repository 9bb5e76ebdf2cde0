"""Accounts that people sign in with, and their sign-ins."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from agentrecord.ids import ProjectId, UserId
from agentrecord.records.scope import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who can sign in, as a member of one project: `user` is whose rows are theirs there."""

    id: UUID
    email: str
    name: str | None = None
    project_id: ProjectId
    role: Role
    user_uuid: UserId
    user: str
    created_at: datetime
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A browser or program in which an account signed in; it holds until `expires_at` unless it `ended_at` before."""

    id: UUID
    project_id: ProjectId
    account_uuid: UUID
    address: str | None = None
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    ended_because: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInAttempt:
    """What an attempt to sign in may go on with: `wait_s` seconds of patience, or the stored hash to verify against.

    `account` and `password_hash` are None for an e-mail that nobody has, and for an account without a password.
    """

    wait_s: int = 0
    account: UUID | None = None
    password_hash: str | None = field(default=None, repr=False)
