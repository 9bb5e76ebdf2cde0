"""Projects and users: found by the name that a door calls them, made when first named."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast  # `Any`: rows hold whatever their columns hold

from sqlalchemy import bindparam, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import Conflict, Forbidden, NotFound
from agentrecord.ids import DEFAULT_PROJECT, NIL, ProjectId, UserId, derived_id, id_in
from agentrecord.records.page import Page
from agentrecord.records.project import UNASSIGNED, Project, User
from agentrecord.records.scope import Scope
from agentrecord.schema import projects, settings, users
from agentrecord.store._page import page
from agentrecord.store._serials import next_serial
from agentrecord.store._sql import contains, insert_or_replace, insert_or_skip

KNOWN_FOR = timedelta(minutes=1)
"""So long a process takes a name for the user that it stood for: another may have purged that one."""

_ADD_PROJECT = insert_or_skip(projects)
_PROJECT_BY_NAME = Prepared(select(projects).where(projects.c.name == bindparam("name")))
_USER_BY_NAME = Prepared(
    select(users).where(users.c.project_id == bindparam("project"), users.c.external_id == bindparam("external_id"))
)
_ADD_USER = insert_or_skip(users)
_GET_SETTING = Prepared(select(settings.c.value).where(settings.c.key == bindparam("key")))
_ADD_SETTING = insert_or_skip(settings)
_SET_SETTING = insert_or_replace(settings, ("key",), update=("value", "updated_at"))


def _project(row: Mapping[str, Any]) -> Project:
    return Project(**{name: value for name, value in row.items() if name != "page_key"})


def user_of(row: Mapping[str, Any]) -> User:
    """Return a row as a user."""
    return User(
        id=row["id"],
        external_id=row["external_id"],
        name=row["name"],
        email=row["email"],
        is_admin=row["is_admin"],
        created_at=row["created_at"],
        erased_at=row["erased_at"],
    )


def ensure_project(conn: Connection, scope: Scope, name: str, *, description: str | None = None) -> Project:
    """Return the project called `name`, made if there is none; for operators, who work across projects."""
    values.name("project", name)
    row = conn.first_map(_PROJECT_BY_NAME, {"name": name})
    if row is not None:
        return _project(row)
    project = DEFAULT_PROJECT if name == "default" else ProjectId(derived_id(0, "project", name))
    conn.run(
        _ADD_PROJECT,
        {
            "id": project,
            "serial": next_serial(conn, ProjectId(NIL), "projects"),
            "name": name,
            "description": description,
            "created_at": conn.now,
        },
    )
    found = conn.first_map(_PROJECT_BY_NAME, {"name": name})
    if found is None:
        raise Conflict("project", name)
    return _project(found)


def get_project(conn: Connection, scope: Scope) -> Project:
    """Return the scope's own project."""
    row = conn.first_map(select(projects).where(projects.c.id == scope.project))
    if row is None:
        raise NotFound("project", scope.project)
    return _project(row)


def find_project(conn: Connection, scope: Scope, name: str) -> Project | None:
    """Return the project called `name`, None if there is none; for operators, who work across projects."""
    row = conn.first_map(_PROJECT_BY_NAME, {"name": values.text("project", name)})
    return None if row is None else _project(row)


def list_projects(conn: Connection, scope: Scope, *, limit: int = 50, cursor: str | None = None) -> Page[Project]:
    """Return the projects by name; for operators, who work across projects."""
    return page(
        conn, select(projects), _project, sorts={"name": projects.c.name}, sort="name",
        row_id=projects.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip


def user_uuid(conn: Connection, scope: Scope, external_id: str | None) -> UserId:
    """Return the row of the user called `external_id`, made when first named.

    None stands for the scope's own user, or for `unassigned` where the scope has none. Raises `Forbidden` when a
    scope of one user names another.
    """
    if external_id is None and scope.user is not None:
        return scope.user
    wanted = UNASSIGNED if external_id is None else values.name("user", external_id)
    key = ("user", scope.project, wanted)
    told = cast("tuple[UserId, datetime] | None", conn.recall(key))
    known = None if told is None or abs(conn.now - told[1]) > KNOWN_FOR else told[0]
    if known is None:
        row = conn.first_map(_USER_BY_NAME, {"project": scope.project, "external_id": wanted})
        if row is None and scope.user is None:
            row = _add_user(conn, scope, wanted)
        if row is not None:
            known = UserId(row["id"])
            conn.remember(key, (known, conn.now))
    if scope.user is not None and known != scope.user:
        raise Forbidden(f"this scope sees one user only, not {wanted!r}")
    return cast(UserId, known)


def known_user(conn: Connection, scope: Scope, external_id: str | None) -> UserId | None:
    """As `user_uuid`, making nothing: None if there is no such user yet."""
    if external_id is None and scope.user is not None:
        return scope.user
    wanted = UNASSIGNED if external_id is None else external_id
    row = conn.first_map(_USER_BY_NAME, {"project": scope.project, "external_id": wanted})
    return None if row is None else cast(UserId, row["id"])


def _add_user(conn: Connection, scope: Scope, external_id: str) -> dict[str, Any]:
    ensure_scope_project(conn, scope)
    conn.run(
        _ADD_USER,
        {
            "project_id": scope.project,
            "id": conn.new_id(),
            "serial": None,
            "external_id": external_id,
            "name": None,
            "email": None,
            "is_admin": False,
            "created_at": conn.now,
            "erased_at": None,
        },
    )
    row = conn.first_map(_USER_BY_NAME, {"project": scope.project, "external_id": external_id})
    if row is None:
        raise NotFound("user", external_id)
    return row


def ensure_scope_project(conn: Connection, scope: Scope) -> None:
    """Make the project `default` the first time that something is written into it."""
    if scope.project == DEFAULT_PROJECT and conn.recall("default project") is None:
        ensure_project(conn, scope, "default")
        conn.remember("default project", True)


def ensure_user(
    conn: Connection, scope: Scope, external_id: str, *, name: str | None = None, email: str | None = None
) -> User:
    """Return the user called `external_id`, made if there is none; `name` and `email` fill what is not known yet."""
    user = user_uuid(conn, scope, external_id)
    mine = (users.c.project_id == scope.project, users.c.id == user)
    told = {"name": name, "email": None if email is None else values.email("email", email)}
    for field, value in told.items():
        if value is not None:
            conn.run(update(users).where(*mine, users.c[field].is_(None)).values({field: values.name(field, value)}))
    row = conn.first_map(select(users).where(*mine))
    if row is None:
        raise NotFound("user", external_id)
    return user_of(row)


def find_user(conn: Connection, scope: Scope, external_id: str) -> User | None:
    """Return the user called `external_id`, None if the scope sees none of that name."""
    row = conn.first_map(_USER_BY_NAME, {"project": scope.project, "external_id": external_id})
    return None if row is None or scope.user not in (None, row["id"]) else user_of(row)


def get_user(conn: Connection, scope: Scope, user: UserId) -> User:
    """Return a user of the scope's project."""
    if scope.user not in (None, user):
        raise NotFound("user", user)
    row = conn.first_map(select(users).where(users.c.project_id == scope.project, users.c.id == user))
    if row is None:
        raise NotFound("user", user)
    return user_of(row)


def named_user(conn: Connection, scope: Scope, user: str) -> User:
    """Return a user by the string they are known by or else the row id; raise `NotFound` if the scope sees none."""
    found = find_user(conn, scope, values.text("user", user))
    row_id = id_in(user)
    if found is None and row_id is not None:
        return get_user(conn, scope, UserId(row_id))
    if found is None:
        raise NotFound("user", user)
    return found


def list_users(
    conn: Connection, scope: Scope, *, words: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[User]:
    """Return the users of the scope's project by the string they are known by."""
    statement = select(users).where(users.c.project_id == scope.project)
    if scope.user is not None:
        statement = statement.where(users.c.id == scope.user)
    if words:
        statement = statement.where(contains(users.c.external_id, words))
    return page(
        conn, statement, user_of, sorts={"external_id": users.c.external_id}, sort="external_id",
        row_id=users.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip


def get_setting(conn: Connection, scope: Scope, key: str) -> bytes | None:
    """Return a setting of the whole record, None if it was never set."""
    return cast("bytes | None", conn.value(_GET_SETTING, {"key": key}))


def ensure_setting(conn: Connection, scope: Scope, key: str, value: bytes) -> bytes:
    """Return a setting of the whole record, set to `value` if it was never set."""
    conn.run(_ADD_SETTING, {"key": key, "value": value, "updated_at": conn.now})
    return cast(bytes, conn.value(_GET_SETTING, {"key": key}))


def set_setting(conn: Connection, scope: Scope, key: str, value: bytes) -> None:
    """Set a setting of the whole record."""
    conn.run(_SET_SETTING, {"key": key, "value": value, "updated_at": conn.now})
