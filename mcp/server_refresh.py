"""Refresh the stored items of an MCP server, from the server itself or from given lists."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.http import Http404
from django.utils import timezone

from core.errors import DomainError
from mcp import item_columns, item_store, server_calls
from mcp.client.mcp_errors import McpError, Rejected, translated
from mcp.client.session import Session
from mcp.item_store import OfferedItems
from mcp.models import Server
from mcp.schemas.refreshing import PromptItem, RefreshLists

MIN_INTERVAL = timedelta(seconds=10)  # between refreshes that servers or calls ask for
_JITTER = 0.1


def refresh(server: Server) -> Server:
    """Ask the server for its tools, resources and prompts, store them, and return its row.

    The session and protocol version that this proves replace those in use. Raises
    ServerFailed if it does not answer, NotCallable if it must not be called.
    """
    server_calls.check_callable(server)
    with server_calls.as_domain_errors(), server_calls.fresh_session(server) as session:
        lists = _read_lists(session)
    return _store(server, lists)


def refresh_in_session(server: Server) -> Server:
    """Like `refresh`, in the current session; the lists may be specific to it.

    Lists that the client has sent meanwhile are left alone: nobody asked to replace them.
    """
    server_calls.check_callable(server)
    sessions = []

    def read(session: Session) -> _Lists:
        sessions.append(session)
        session.rediscover()
        return _read_lists(session, may_be_lost=len(sessions) == 1)

    with server_calls.as_domain_errors():
        lists = server_calls.call(server, read)
    return _store(server, lists, unless_given=True)


def refresh_for_unknown_item(server: Server) -> bool:
    """Refresh a server of which an unknown item is requested; return whether that was done.

    It is not when the client sent the lists, or the last refresh was a moment ago.
    """
    is_recent = server.refreshed_at and timezone.now() - server.refreshed_at < MIN_INTERVAL
    if server.has_given_lists or is_recent:
        return False
    try:
        refresh_in_session(server)
    except (DomainError, Http404):  # or the server was deleted concurrently
        return False
    return True


def replace(server: Server, lists: RefreshLists) -> Server:
    """Replace the stored items by the given lists, and return the server's row."""
    items = OfferedItems(
        tools=_each(item_columns.sent_tool, lists.tools),
        resources=_each(item_columns.sent_resource, lists.resources),
        prompts=_each(PromptItem.sent, lists.prompts),
    )
    return item_store.store(server, items, has_given_lists=True, next_refresh_at=None)


def next_refresh_time(now: datetime) -> datetime | None:
    """Return when a server that is refreshed now is due again, or None for never."""
    if not settings.MCP_REFRESH_MINUTES:
        return None
    minutes = settings.MCP_REFRESH_MINUTES * random.uniform(1 - _JITTER, 1 + _JITTER)
    return now + timedelta(minutes=minutes)


@dataclass(slots=True)
class _Lists:
    """What a server offers; a kind that could not be read is None."""

    items: OfferedItems
    state: dict
    problems: list[str] = field(default_factory=list)


def _store(server: Server, lists: _Lists, *, unless_given: bool = False) -> Server:
    now = timezone.now()
    return item_store.store(
        server,
        lists.items,
        unless_given=unless_given,
        not_again_before=now + MIN_INTERVAL,  # or a server that reports each reading never rests
        **lists.state,
        reachable=True,
        last_error="; ".join(lists.problems)[:1000],
        contacted_at=now,
        has_given_lists=False,
        next_refresh_at=next_refresh_time(now),
    )


def _read_lists(session: Session, *, may_be_lost: bool = False) -> _Lists:
    """Read all lists. Only the tools have to be readable; problems of the others are noted.

    Raises Rejected where the session may be lost, for another attempt in a new one.
    """
    problems: list[str] = []

    def read(kind: str, columns_of: Callable[[dict, list[str]], dict | None]) -> list[dict]:
        columns = (columns_of(item, problems) for item in session.listed(kind))
        return [each for each in columns if each]

    def read_if_possible(kind: str, columns_of: Callable) -> list[dict] | None:
        try:
            with translated():
                return read(kind, columns_of)
        except McpError as error:
            if may_be_lost and isinstance(error, Rejected):
                raise
            problems.append(f"{kind}: {error}")
            return None

    items = OfferedItems(
        tools=read("tools", item_columns.listed_tool),
        resources=read_if_possible("resources", item_columns.listed_resource),
        prompts=read_if_possible("prompts", item_columns.listed_prompt),
    )
    templates = read_if_possible("resources/templates", item_columns.listed_template)
    state = {
        "capabilities": session.capabilities,
        "protocol_version": session.version,
        "server_info": session.server_info,
        **({} if templates is None else {"resource_templates": templates}),
    }
    return _Lists(items, state, problems)


def _each(convert: Callable, items: list | None) -> list[dict] | None:
    return None if items is None else [convert(item) for item in items]
