"""A real PostgreSQL server for tests, on loopback, in a folder of its own; it may be stopped and started again."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from programs import program

PLACES = "/usr/lib/postgresql/*/bin/{}"


class Postgres:
    """The server; every database in it is reached by `url`."""

    def __init__(self, folder: Path) -> None:
        self._initdb = program("initdb", ["postgresql"], places=PLACES.format("initdb"))
        self._control = program("pg_ctl", ["postgresql"], places=PLACES.format("pg_ctl"))
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        self._run(self._initdb, "-D", f"{folder}/data", "-U", "pointsman", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} -c fsync=off -c shared_buffers=16MB"
        self._run(self._control, "-D", f"{self._folder}/data", "-l", f"{self._folder}/log", "-w", "-o", options, "start")

    def stop(self) -> None:
        """Stop at once; connections end."""
        self._run(self._control, "-D", f"{self._folder}/data", "-w", "-m", "immediate", "stop")

    def url(self, database: str = "postgres") -> str:
        """The address of a database, which is made where it is missing."""
        import psycopg

        address = f"postgresql://pointsman@127.0.0.1:{self.port}"
        if database != "postgres":
            with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return f"{address}/{database}"

    def _run(self, *command: str) -> None:
        # PostgreSQL does not run as root
        user: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        with (self._folder / "said").open("ab") as said:
            subprocess.run(command, stdout=said, stderr=said, cwd=self._folder, check=True, timeout=60, **user)


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A server that runs; it and its folder are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pm-pg-") as folder:
        server = Postgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
