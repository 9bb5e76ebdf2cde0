"""What each route answers, shown in the API's description: real answers over a small made-up record."""

from importlib.resources import files
from typing import Any  # `Any`: OpenAPI is JSON

import msgspec

FILE = "answers.json"
"""Drafted by `scripts/draft_answers.py`: a status and an answer for each method and path."""


def add_answers(schema: dict[str, Any]) -> None:
    """Show with each operation of a description what it answers."""
    answers = msgspec.json.decode(
        files("agentrecord.server").joinpath(FILE).read_bytes(), type=dict[str, dict[str, Any]]
    )
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            for status, answer in answers.get(f"{method.upper()} {path}", {}).items():
                operation["responses"][status]["content"]["application/json"]["example"] = answer
