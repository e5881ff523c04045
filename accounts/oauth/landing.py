"""Where a browser may be sent after a login: to pages of this server."""

from urllib.parse import unquote, urlsplit
from uuid import UUID

from django.urls import get_script_prefix
from django.utils.http import url_has_allowed_host_and_scheme

MAX_LENGTH = 2_000
_NO_PAGES = ("/api/", "/mcp", "/v1/", "/logout", "/admin/logout")


def home(project_id: UUID | None = None) -> str:
    """Return the path of the home page, of this project or of the person's first one."""
    return get_script_prefix() + (f"?project={project_id}" if project_id else "")


def safe_path(values: list[str]) -> str:
    """Return the one path that was asked for, unchanged, or the home page's.

    Checked when it is used, too. Landing only shows a page: no route of the API.
    """
    if len(values) != 1:
        return home()
    path = values[0]
    is_plain = 0 < len(path) <= MAX_LENGTH and path.isprintable() and path.isascii()
    if not is_plain or not path.startswith("/") or not _is_here(path):
        return home()
    return path


def _is_here(path: str) -> bool:
    plain = path
    for _ in range(3):  # however often it was encoded
        if "\\" in plain or "//" in plain or not plain.isprintable():
            return False
        plain = unquote(plain)
    try:
        inside = f"/{urlsplit(plain).path.removeprefix(get_script_prefix())}".replace("//", "/")
    except ValueError:
        return False
    is_page = not inside.lower().startswith(_NO_PAGES)
    return is_page and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
