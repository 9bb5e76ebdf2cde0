"""Who asks: the project, the user and the role that every operation is bounded by."""

from dataclasses import dataclass
from enum import StrEnum

from agentrecord.ids import DEFAULT_PROJECT, ProjectId, UserId


class Role(StrEnum):
    """What a caller may do within a project; `operator` may also read across projects."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
    OPERATOR = "operator"

    @property
    def may_write(self) -> bool:
        """Say whether this role may change anything."""
        return self is not Role.READ

    @property
    def may_administer(self) -> bool:
        """Say whether this role may see figures about other people and change settings."""
        return self in (Role.ADMIN, Role.OPERATOR)

    def includes(self, other: "Role") -> bool:
        """Say whether this role may do all that `other` may."""
        return _RANK[self] >= _RANK[other]


_RANK = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The part of the record that a caller can see: one project, and one user's rows if `user` is set."""

    project: ProjectId = DEFAULT_PROJECT
    user: UserId | None = None
    role: Role = Role.OPERATOR
