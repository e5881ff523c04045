"""The official SDKs of OpenAI and Groq, and what is built on them, in processes of their own."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from threading import Timer

from tests.peer_environments import node_script, python

HERE = Path(__file__).parent
PYTHON_SDK = "openai==3.57.0"
NODE_SDK = "openai@7.57.0"
LANGCHAIN = "langchain-openai==1.7.4"
GROQ_SDK = "groq==1.7.0"
_SECONDS = 60


def command(language: str) -> list[str]:
    """Return the command of the stories in `python`, `node`, `langchain` or `groq`."""
    match language:
        case "python":
            return [python(PYTHON_SDK), "-P", str(HERE / "openai_client.py")]
        case "node":
            return node_script(HERE / "openai_client.mjs", NODE_SDK)
        case "langchain":
            return [python(LANGCHAIN), "-P", str(HERE / "langchain_client.py")]
        case "groq":
            return [python(GROQ_SDK), "-P", str(HERE / "groq_client.py")]
    raise ValueError(language)


def run_story(
    language: str,
    story: str,
    *,
    base_url: str,
    token: str,
    on_wait: Callable[[float], None] | None = None,
    **arguments,
):
    """Return what a story printed. `on_wait` is called with the seconds of each of its waits."""
    with subprocess.Popen(
        [*command(language), story, json.dumps(arguments)],
        env={"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": token, "PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        limit = Timer(_SECONDS, process.kill)
        limit.start()
        for line in process.stdout:
            said = json.loads(line)
            if "result" in said:
                limit.cancel()
                return said["result"]
            on_wait(said["wait"])
            process.stdin.write("\n")
            process.stdin.flush()
        limit.cancel()
        said = process.stderr.read()
        raise AssertionError(f"the story ended with status {process.wait()}: {said}")
