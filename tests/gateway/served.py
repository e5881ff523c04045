"""A real server on the tests' database, and clients that leave when they like."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.db import connection

from core.database.embedded import EmbeddedPostgres
from tests.environment import DATA_DIR
from tests.server import COMMAND, Server


@contextmanager
def server_of(directory: Path, *, workers: int, **variables: str) -> Iterator[Server]:
    """Start `llmring-server` on the test's own database, where its rows can be looked at."""
    socket_dir = EmbeddedPostgres(DATA_DIR).socket_dir
    name = connection.settings_dict["NAME"]
    with Server(
        directory / "data",
        command=(*COMMAND, "--workers", str(workers)),
        LLMRING_DATABASE_URL=f"postgresql://postgres@/{name}?host={socket_dir}",
        OPENAI_API_KEY="sk-upstream-key-0123456789",
        **variables,
    ) as server:
        yield server


class Client:
    """Opens streams over raw connections, so that it can leave in the middle of any byte."""

    def __init__(self, url: str) -> None:
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port

    async def open(
        self, body: dict, *, token: str, metadata: dict | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a whole request; return what its answer comes through."""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=2**16)
        data = json.dumps(body).encode()
        lines = [
            "POST /v1/chat/completions HTTP/1.1",
            f"Host: {self._host}",
            f"Authorization: Bearer {token}",
            f"X-LLMRing-Metadata: {json.dumps(metadata or {})}",
            "Content-Type: application/json",
            "Connection: close",
            f"Content-Length: {len(data)}",
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        await writer.drain()
        return reader, writer
