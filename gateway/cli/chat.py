"""`llm-proxy openai chat`: a conversation with a model, line by line, also through pipes."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

import requests

from gateway.cli.client import Refused, send

_END = ("exit", "quit")


def run(command: ArgumentParser, options: Namespace) -> int:
    """Answer each line of standard input; return the exit status.

    At a terminal an error is shown and the conversation goes on; otherwise it ends it.
    """
    if not options.token:
        command.error("--token or the variable PROXY_TOKEN is required")
    chat = Chat(options)
    is_terminal = sys.stdin.isatty()
    for line in _lines(is_terminal):
        try:
            for part in chat.answer(line):
                print(part, end="", flush=True)
            print()
        except Refused as error:
            if not is_terminal:
                raise
            print(f"error: {error}", file=sys.stderr)
        if options.verbose and chat.usage:
            print(json.dumps(chat.usage), file=sys.stderr)
    return 0


class Chat:
    """The messages so far; `usage` is that of the last answer."""

    def __init__(self, options: Namespace) -> None:
        self._options = options
        base = options.proxy.rstrip("/").removesuffix("/v1")
        self._url = f"{base}/v1/chat/completions"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {options.token}"
        self._messages: list[dict[str, str]] = []
        if options.system:
            self._messages.append({"role": "system", "content": options.system})
        self.usage: dict[str, Any] | None = None

    def answer(self, text: str) -> Iterator[str]:
        """Yield the answer as it comes. Raises Refused, after which the text is forgotten."""
        question = {"role": "user", "content": text}
        parts = []
        self.usage = None
        try:
            for part in self._ask([*self._messages, question]):
                parts.append(part)
                yield part
        except (requests.RequestException, ValueError, LookupError, TypeError) as error:
            raise Refused(f"the answer broke off: {type(error).__name__}") from error
        self._messages += [question, {"role": "assistant", "content": "".join(parts)}]

    def _ask(self, messages: list[dict[str, str]]) -> Iterator[str]:
        options = self._options
        body = {
            "model": options.model,
            "messages": messages,
            "temperature": options.temperature,
            "stream": options.stream,
        }
        if options.max_tokens is not None:
            body["max_tokens"] = options.max_tokens
        if options.stream and options.verbose:
            body["stream_options"] = {"include_usage": True}
        with send(self._session, "POST", self._url, json=body, stream=options.stream) as response:
            documents = _events(response) if options.stream else [response.json()]
            for document in documents:
                if "error" in document:
                    raise Refused(json.dumps(document["error"]))
                self.usage = document.get("usage") or self.usage
                for choice in document["choices"][:1]:
                    yield (choice.get("delta") or choice.get("message") or {}).get("content") or ""


def _events(response: requests.Response) -> Iterator[dict[str, Any]]:
    """Yield the JSON of each event of a stream. Raises Refused when it has no end."""
    for line in response.iter_lines(chunk_size=1):
        name, _, value = line.partition(b":")
        if name != b"data":
            continue
        if value.strip() == b"[DONE]":
            return
        yield json.loads(value)
    raise Refused("the answer broke off")


def _lines(is_terminal: bool) -> Iterator[str]:
    if is_terminal:
        import readline  # noqa: F401 - gives input() its editing keys
    while True:
        try:
            line = input("You: " if is_terminal else "").strip()
        except EOFError:
            return
        if line.lower() in _END:
            return
        if line:
            yield line
