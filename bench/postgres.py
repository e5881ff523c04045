"""A fresh PostgreSQL for one side of the comparison."""

import atexit
import shutil
import tempfile
from pathlib import Path

import psycopg

from core.database import embedded

MAX_CONNECTIONS = 300  # the older server opens up to thirty in each worker
DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")


class Postgres:
    """An empty server in a directory of its own; both are removed when this process ends.

    Settings are those of the embedded database, which leaves durability at PostgreSQL's defaults.
    """

    def __init__(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix="llmring-bench-pg-"))
        directory.chmod(0o711)  # PostgreSQL runs as another account when we are root
        # Exit handlers run last in, first out: the server, started below, stops before this.
        atexit.register(shutil.rmtree, directory)
        server = embedded.EmbeddedPostgres(directory)
        server.start(max_connections=MAX_CONNECTIONS)
        self.pid = int((server.directory / "postmaster.pid").read_text().split()[0])
        self.url = f"postgresql://{embedded.USER}@/{embedded.DATABASE}?host={server.socket_dir}"
        self.connection = psycopg.connect(self.url, autocommit=True)
        self._offer_empty_pgcrypto(directory / "share")

    def _offer_empty_pgcrypto(self, share: Path) -> None:
        """Make `CREATE EXTENSION pgcrypto` succeed, which the older server's migrations run.

        They need its `gen_random_uuid()`, which is built in since PostgreSQL 13, and the embedded
        PostgreSQL lacks the extension.
        """
        extension = share / "extension"
        extension.mkdir(parents=True)
        (extension / "pgcrypto.control").write_text("default_version = '1.3'\n")
        (extension / "pgcrypto--1.3.sql").write_text("SELECT 1;\n")
        self.connection.execute(
            f"ALTER DATABASE {embedded.DATABASE} SET extension_control_path = '$system:{share}'"
        )

    def settings(self) -> dict[str, str]:
        """Return version and durability settings, as the server reports them."""
        names = ("server_version", *DURABILITY)
        return {name: self.connection.execute(f"SHOW {name}").fetchone()[0] for name in names}

    def count(self, table: str) -> int:
        """Return the rows in `table` now. One full scan, so only between samples."""
        return self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def analyze(self) -> None:
        """Update planner statistics, as autovacuum would a minute later."""
        self.connection.execute("ANALYZE")

    def checkpoint(self) -> None:
        """Flush what earlier samples have written, so that the next does not pay for it."""
        self.connection.execute("CHECKPOINT")
