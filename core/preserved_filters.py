"""Django's `admin_urls` template tags, which preserve the whole query of a list.

Django puts the query into a dictionary, which keeps only the last value of a repeated
parameter. The settings name this library instead of Django's.
"""

from urllib.parse import parse_qsl, urlsplit

from django import template
from django.contrib.admin.templatetags import admin_urls
from django.utils.http import urlencode

register = template.Library()
register.filters.update(admin_urls.register.filters)
_LIST_QUERY = "_changelist_filters"


@register.simple_tag(takes_context=True)
def add_preserved_filters(context, url, popup=False, to_field=None) -> str:
    """Return the URL with the parameters of the list that the page was opened from."""
    link = admin_urls.add_preserved_filters(context, url, popup, to_field)
    kept = dict(parse_qsl(context.get("preserved_filters") or "")).get(_LIST_QUERY)
    parts = urlsplit(link)
    query = dict(parse_qsl(parts.query))
    if not kept or _LIST_QUERY in query:
        return link  # a link to another page, which carries the list's query as one text
    pairs = parse_qsl(kept)
    names = {name for name, _ in pairs}
    if not names <= query.keys():
        return link
    others = [(name, value) for name, value in query.items() if name not in names]
    return parts._replace(query=urlencode(pairs + others)).geturl()
