"""One setting says which record: a path, `sqlite:///…`, `postgresql://…` or `memory:`."""

from importlib import import_module
from pathlib import Path
from typing import cast

from agentrecord.engine.base import Engine, Maker
from agentrecord.engine.memory import MemoryEngine
from agentrecord.engine.sqlite import SqliteEngine
from agentrecord.exceptions import InvalidValue, StoreUnavailable

DEFAULT_POOL = (1, 8)


def open_engine(url: str, maker: Maker, *, read_only: bool = False, pool: tuple[int, int] | None = None) -> Engine:
    """Open the record at `url`, on a server with the least and the most connections that `pool` says.

    Raises `InvalidValue` for an address of an unknown kind and `StoreUnavailable` where nothing answers.
    """
    if url in ("memory:", ":memory:", "sqlite://", "sqlite:///:memory:"):
        return MemoryEngine(maker)
    if url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        return _open_postgresql(url, maker, pool or DEFAULT_POOL)
    if url.startswith("sqlite:///"):
        return SqliteEngine(Path(url.removeprefix("sqlite:///")), maker, read_only=read_only)
    if "://" in url:
        raise InvalidValue("url", url, "must be a path, sqlite:///PATH, postgresql://… or memory:")
    return SqliteEngine(Path(url).expanduser(), maker, read_only=read_only)


def _open_postgresql(url: str, maker: Maker, pool: tuple[int, int]) -> Engine:
    # By name, so that the plain install, which has no PostgreSQL driver, can open SQLite files.
    try:
        module = import_module("agentrecord.engine.postgres")
    except ModuleNotFoundError as error:
        raise StoreUnavailable(
            f"{error.name} is not installed: pip install 'agentrecord[postgres]' to use PostgreSQL"
        ) from error
    return cast(Engine, module.PostgresEngine(url, maker, pool=pool))
