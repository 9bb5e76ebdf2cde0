"""How to reach a database; knows no table."""

from agentrecord.engine.base import Engine, Maker
from agentrecord.engine.connection import Connection, Prepared

__all__ = ["Connection", "Engine", "Maker", "Prepared"]
