"""Texts of messages as HTML that is safe to show, whoever wrote them.

markdown-it-py writes no HTML of the text's own: tags are shown as text. What is left are
links, and images, which a page must not fetch.
"""

from urllib.parse import urlsplit

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml

MAX_LENGTH = 6_000  # characters: some texts take quadratic time (50,000 brackets, 3 seconds)
_SCHEMES = ("http", "https", "mailto")


def _is_link(url: str) -> bool:
    """Return whether it leads where it says: relative addresses would lead into this server."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in _SCHEMES and bool(parts.netloc or parts.scheme == "mailto")


def _open_link(self, tokens, position, options, env) -> str:
    tokens[position].attrSet("rel", "noopener noreferrer")
    tokens[position].attrSet("target", "_blank")
    env.setdefault("targets", []).append(tokens[position].attrGet("href"))
    return self.renderToken(tokens, position, options, env)


def _close_link(self, tokens, position, options, env) -> str:
    """Close a link, and say where it leads unless its text does."""
    target = env["targets"].pop()
    text = tokens[position - 1].content
    shown = "" if text == target else f" ({escapeHtml(target)})"
    return f"{shown}</a>"


def _reader() -> MarkdownIt:
    reader = MarkdownIt("js-default", {"html": False, "linkify": False}).disable("image")
    reader.validateLink = _is_link
    reader.add_render_rule("link_open", _open_link)
    reader.add_render_rule("link_close", _close_link)
    return reader


_markdown = _reader()


def render(text: str) -> SafeString | None:
    """Return the text as HTML; None for one that is too long."""
    if len(text) > MAX_LENGTH:
        return None
    return mark_safe(_markdown.render(text, {}))
