"""Bare arrays by limit and offset, without counting (docs/http-contract.md, "Lists")."""

from core import fields
from core.serializers import QuerySerializer


def page_query(*, default: int, maximum: int) -> type[QuerySerializer]:
    """A query serializer with `limit` (1 to `maximum`) and `offset` (from 0)."""

    class PageQuery(QuerySerializer):
        limit = fields.IntegerField(default=default, min_value=1, max_value=maximum)
        offset = fields.IntegerField(default=0, min_value=0)

    return PageQuery
