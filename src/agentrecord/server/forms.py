"""What the forms of pages send."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.exceptions import HTTPException

from agentrecord.exceptions import InvalidFilter

MAX_FORM_BYTES, MAX_FIELDS = 16 * 1024, 10
FORM = "application/x-www-form-urlencoded"


async def form_of(
    request: Request, *known: str, as_is: tuple[str, ...] = (), max_bytes: int = MAX_FORM_BYTES
) -> Mapping[str, str]:
    """Return a form's fields without blanks around them, but passwords and those `as_is`; empty ones are left out.

    Raises `InvalidFilter` for a field that is not `known` or comes twice, HTTP errors for what is no form.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise HTTPException(415, f"Send a form: {FORM}.")
    body = await request.body()
    if len(body) > max_bytes:
        raise HTTPException(413, f"A form may have {max_bytes:,} bytes.")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise HTTPException(400, "The form cannot be read.") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known or name in found:
            raise InvalidFilter(name, "…", f"is no field of this form; there are {', '.join(known)}, each once")
        found[name] = value if name in as_is or "password" in name else value.strip()
    return {name: value for name, value in found.items() if value}
