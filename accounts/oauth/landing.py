"""The pages to which a browser may be redirected after a login: those of this server."""

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
    """Return the requested path, unchanged, if it is one page of this server; else the home page.

    Routes of the API are not pages. Call it again where the path is used: a cookie may have kept
    it since an earlier version, with other rules.
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
    for _ in range(3):  # it may be encoded several times
        if "\\" in plain or "//" in plain or not plain.isprintable():
            return False
        plain = unquote(plain)
    try:
        inside = f"/{urlsplit(plain).path.removeprefix(get_script_prefix())}".replace("//", "/")
    except ValueError:
        return False
    is_page = not inside.lower().startswith(_NO_PAGES)
    return is_page and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
