"""What a first start leaves, copied for tests of servers that were started before.

It makes a database and applies every migration, which takes most of its time.
"""

import subprocess
from pathlib import Path

import requests

from tests.server import KEY_FILE, Server

PASSWORD = "a long password"  # of the admin


class FirstStart:
    """A server that was started in `data_dir`, and stopped."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        with Server(data_dir, LLMRING_WORKERS="1", ADMIN_PASSWORD=PASSWORD) as server:
            requests.get(f"{server.url}/registry.json", timeout=30).raise_for_status()
            (data_dir / KEY_FILE).write_text(server.key)
            assert server.stop() == 0

    def copy(self, data_dir: Path) -> Path:
        """Make a new data directory that is as this start left it; returns it."""
        subprocess.run(["cp", "-a", self._data_dir, data_dir], check=True)  # owners too
        return data_dir
