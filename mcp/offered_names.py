"""The names of tools and prompts on `/mcp`, which models and all clients accept.

A tool `add` of the server with the prefix `calc` is `calc__add`. Names that are longer
than 64 characters, or have others than `A-Za-z0-9_-`, are cut and end in a hash.
"""

import hashlib
import re
from collections.abc import Container
from itertools import count

from django.db import IntegrityError, transaction

from core.scoping import Caller
from mcp.models import RetiredPrefix, Server

MAX_LENGTH = 64
_MAX_SLUG_LENGTH = 32
_HASH_LENGTH = 8
_ATTEMPTS = 5  # when servers of one name are registered at the same time


def offered_name(prefix: str, name: str, taken: Container[str]) -> str:
    """Return the name under which an item of a server is offered, which is not `taken`."""
    whole = f"{prefix}__{name}"
    if len(whole) <= MAX_LENGTH and re.fullmatch(r"[A-Za-z0-9_-]+", whole) and whole not in taken:
        return whole
    start = re.sub(r"[^A-Za-z0-9_-]", "_", whole)[: MAX_LENGTH - _HASH_LENGTH - 1]
    for attempt in count():
        digest = hashlib.sha256(f"{name}\x00{attempt or ''}".encode()).hexdigest()[:_HASH_LENGTH]
        if f"{start}_{digest}" not in taken:
            return f"{start}_{digest}"


def slug(name: str) -> str:
    """Return the name of a server as tool names and URI schemes can begin with it."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_MAX_SLUG_LENGTH].rstrip("-")
    return text if text[:1].isalpha() else f"s-{text}".rstrip("-")


def create_server(caller: Caller, columns: dict) -> Server:
    """Create a server with a prefix of its own in the project."""
    for attempt in count(1):
        prefix = _free_prefix(caller, columns)
        try:
            with transaction.atomic():  # a savepoint, where the caller has a transaction
                return Server.objects.create(**caller.columns(), **columns, prefix=prefix)
        except IntegrityError:  # another one has just taken it
            if attempt == _ATTEMPTS:
                raise


def retire(server: Server) -> None:
    """Keep the prefix of a server that is deleted from ever meaning another one."""
    RetiredPrefix.objects.update_or_create(
        project_id=server.project_id,
        prefix=server.prefix,
        defaults={
            "api_key_id": server.api_key_id,
            "user_id": server.user_id,
            "url": server.url,
            "transport_type": server.transport_type,
        },
    )


def _free_prefix(caller: Caller, columns: dict) -> str:
    wanted = slug(columns["name"])
    similar = {"project_id": caller.project_id, "prefix__startswith": wanted}
    # A server that is registered again gets its names back.
    others = RetiredPrefix.objects.filter(**similar).exclude(
        url=columns["url"], transport_type=columns["transport_type"]
    )
    taken = Server.objects.filter(**similar).order_by().values_list("prefix")
    used = {prefix for (prefix,) in taken.union(others.values_list("prefix"))}
    candidates = (wanted if number == 1 else f"{wanted}-{number}" for number in count(1))
    return next(each for each in candidates if each not in used)
