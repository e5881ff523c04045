"""What follows `|` may end before a command has printed all, as `head` does."""

import os
import subprocess
import sys

import pytest

URL = "postgresql://me@127.0.0.1:9/logs"  # no server is asked


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("call", ["manage(['manage.py', 'help'])", "database(['url'])"])
def test_command_whose_reader_has_gone_ends_without_traceback(tmp_path, call, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    program = f"from llmring_site import cli; cli.{call}"
    environment = {
        "PATH": os.environ["PATH"],
        "LLMRING_DATA_DIR": str(tmp_path / "data"),
        "LLMRING_DATABASE_URL": URL,
        "PYTHONUNBUFFERED": unbuffered,
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
