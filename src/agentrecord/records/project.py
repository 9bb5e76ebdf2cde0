"""Projects (the unit of isolation), the people in them, and the keys that let programs in."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from agentrecord.ids import ProjectId, UserId
from agentrecord.records.scope import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A part of the record that nothing outside it can see."""

    id: ProjectId
    name: str
    description: str | None = None
    serial: int | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person, known by the string that some door called them; `unassigned` owns what has no person."""

    id: UserId
    external_id: str
    name: str | None = None
    email: str | None = None
    is_admin: bool = False
    created_at: datetime
    erased_at: datetime | None = None


UNASSIGNED = "unassigned"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key for programs: its secret is shown once and only a keyed hash of it is stored."""

    id: UUID
    project_id: ProjectId
    user_uuid: UserId | None = None
    user: str | None = None
    prefix: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApiKey:
    """A key just made, with the `secret` that is never shown again."""

    key: ApiKey
    secret: str = field(repr=False)
