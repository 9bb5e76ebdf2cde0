"""The system of record for AI agents."""

from importlib import import_module
from typing import TYPE_CHECKING, Any  # `Any`: what a module's attribute is, only the module knows

if TYPE_CHECKING:
    from agentrecord.store import AsyncStore, Store

__all__ = ["AsyncStore", "Store", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # On demand, because importing any module imports this one, and the command line must not wait for the store.
    if name in ("AsyncStore", "Store"):
        return getattr(import_module("agentrecord.store"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
