"""Opening the record for a command: to read what is there, or to write."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from agentrecord.cli import settings
from agentrecord.clock import SystemClock
from agentrecord.engine import Engine, Maker
from agentrecord.engine.opening import open_engine
from agentrecord.exceptions import NotFound, SchemaMismatch, StoreUnavailable
from agentrecord.ids import ProjectId, UserId, new_id
from agentrecord.store import Store


@contextmanager
def writing(*, as_user: bool = True) -> Iterator[Store]:
    """Open the record to write; the project, and the user unless that is left out, are made if they are not there."""
    wanted = settings.current()
    with Store(wanted.url) as store:
        yield store.scoped(project=wanted.project, user=wanted.user if as_user else None)


@contextmanager
def reading() -> Iterator[Store]:
    """Open the record to read; nothing is made, and what is not there is an error."""
    wanted = settings.current()
    path = wanted.path
    if path is not None and not path.exists():
        raise StoreUnavailable(f"there is no record at {path} yet; `agentrecord import` makes one, --db names another")
    with _opened(wanted.url) as store:
        yield _seen_by(store, wanted)


def _opened(url: str) -> Store:
    try:
        return Store(url, read_only=True)
    except SchemaMismatch:
        # An older record is brought up to date first, and that needs to write; a newer or foreign one is refused again.
        return Store(url)


def _seen_by(store: Store, wanted: settings.Settings) -> Store:
    scope = store.scope
    if wanted.project is not None:
        scope = replace(scope, project=_project(store, wanted.project))
    if wanted.user is not None:
        scope = replace(scope, user=_user(Store(engine=store.engine, scope=scope), wanted.user))
    return Store(engine=store.engine, scope=scope)


def _project(store: Store, name: str) -> ProjectId:
    cursor = None
    while True:
        page = store.projects.list(limit=200, cursor=cursor)
        for project in page:
            if project.name == name:
                return project.id
        cursor = page.next_cursor
        if cursor is None:
            raise NotFound("project", name)


def _user(store: Store, name: str) -> UserId:
    cursor = None
    while True:
        page = store.users.list(words=name, limit=200, cursor=cursor)
        for user in page:
            if user.external_id == name:
                return user.id
        cursor = page.next_cursor
        if cursor is None:
            raise NotFound("user", name)


@contextmanager
def opened_raw() -> Iterator[Engine]:
    """Open the record's engine without bringing its schema up to date."""
    engine = open_engine(settings.current().url, Maker(SystemClock(), new_id))
    try:
        yield engine
    finally:
        engine.close()
