"""What has to run in a process of its own, so that start, memory and CPU are counted whole.

`python -m benchmarks.worker parse|import|import-unindexed FOLDER DATABASE` prints its peak memory in KiB.
"""

import resource
import sys
from pathlib import Path

import msgspec

from agentrecord import Store
from agentrecord.ingest.load import import_paths
from agentrecord.ingest.registry import SOURCES


def parse(folder: Path) -> int:
    """Decode every line of the transcripts, keep nothing, and return how many were no JSON."""
    decode = msgspec.json.Decoder().decode
    unreadable = 0
    for path in sorted(folder.rglob("*.jsonl")):
        with path.open("rb") as file:
            for line in file:
                try:
                    decode(line)
                except msgspec.DecodeError:
                    unreadable += 1
    return unreadable


def main() -> int:
    """Do one thing."""
    what, folder, database = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if what == "parse":
        parse(folder)
    else:
        with Store(database) as store:
            summary = import_paths(store, SOURCES["claude-code"], [folder], indexed=what == "import")
        if summary.failed:
            sys.stderr.write(f"not imported: {summary.failed[:3]}\n")
            return 1
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return 0


if __name__ == "__main__":
    sys.exit(main())
