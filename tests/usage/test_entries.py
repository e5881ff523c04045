"""The struct that most logs are decoded with, and the serializer for the others, say the same."""

from decimal import Decimal

import msgspec
import pytest
from rest_framework.fields import empty

from usage.entries import BatchEntry, LogEntry, decode, tokens_of
from usage.serializers import BatchEntrySerializer, LogEntrySerializer


@pytest.mark.parametrize(
    ("struct", "serializer"),
    [(LogEntry, LogEntrySerializer), (BatchEntry, BatchEntrySerializer)],
)
def test_struct_and_serializer_have_the_same_members_and_limits(struct, serializer):
    members = {member.name: member for member in msgspec.structs.fields(struct)}
    fields = serializer().fields
    assert list(members) == list(fields)
    for name, member in members.items():
        field, info = fields[name], msgspec.inspect.type_info(member.type)
        kinds = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
        nullable = any(isinstance(kind, msgspec.inspect.NoneType) for kind in kinds)
        assert nullable == field.allow_null, name
        assert member.required == (field.required and field.default is empty), name
        first = kinds[0]
        if isinstance(first, msgspec.inspect.StrType):
            assert first.max_length == field.max_length, name
        if isinstance(first, msgspec.inspect.IntType):
            assert (first.ge, first.le) == (field.min_value, field.max_value), name


def test_numbers_become_decimals_through_their_shortest_text():
    body = b'{"provider":"p","model":"m","input_tokens":1,"output_tokens":2,"cost":0.1}'
    assert decode(LogEntry, body).cost == Decimal("0.1")


def test_finer_classes_of_tokens_come_from_metadata():
    metadata = {
        "cache_write_5m_tokens": 3,
        "cache_write_tokens": 4,
        "reasoning_tokens": 5,
        "x": "y",
    }
    entry = LogEntry(
        provider="p",
        model="m",
        input_tokens=10,
        output_tokens=9,
        cached_input_tokens=2,
        metadata=metadata,
    )
    tokens = tokens_of(entry)
    assert (tokens.input, tokens.output, tokens.cache_read) == (10, 9, 2)
    assert (tokens.cache_write_5m, tokens.cache_write_1h, tokens.thinking) == (7, 0, 5)
