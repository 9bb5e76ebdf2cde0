"""Write the answers anew that the API's description shows: real ones, of a small record made up for the tests.

    python scripts/draft_answers.py

To be run after a change of what routes take or answer; the difference shows what callers will see of it.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILE = ROOT / "src" / "agentrecord" / "server" / "answers.json"


def main() -> None:
    """Ask every route and write what it answers."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "acceptance")]
    from openapi_requests import answers  # noqa: PLC0415 - found by the path above

    lines = (f"{json.dumps(route)}: {json.dumps(told, ensure_ascii=False)}" for route, told in answers().items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"wrote {FILE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
