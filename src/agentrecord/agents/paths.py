"""What a setting names by `package.module:attribute`."""

from importlib import import_module
from typing import Any  # `Any`: what a path leads to is not known before it is looked at

from agentrecord.exceptions import InvalidValue


def attribute_at(setting: str, path: str) -> Any:
    """Return what stands at `package.module:attribute`.

    Raises `InvalidValue` that names the setting, the path, and what of it is missing; an error inside the module
    itself flies.
    """
    module_name, colon, attribute = path.partition(":")
    if not colon or not module_name or not attribute:
        raise InvalidValue(setting, path, "must be package.module:attribute")
    try:
        found = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        reason = f"there is no module {error.name}; install it, or put its folder on PYTHONPATH"
        raise InvalidValue(setting, path, reason) from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise InvalidValue(setting, path, f"{module_name} has no {attribute}; name what it defines")
        found = getattr(found, name)
    return found
