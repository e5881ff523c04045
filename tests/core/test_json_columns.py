"""Numbers of stored JSON values keep all their digits."""

import pytest

from core import exact_json, json_writer
from templates_app.models import ConversationTemplate


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    [
        b"123456789012345678901234567890",
        b"0.123456789012345678901",
        b"-12345678901234567.000000001",
        b"[1.5,18446744073709551616,9007199254740993]",
        b'{"deep":[{"n":-0.000000000000000000001}]}',
    ],
)
def test_stored_numbers_come_back_with_their_digits(text):
    row = ConversationTemplate.objects.create(name="t", tool_config={"n": exact_json.loads(text)})
    row.refresh_from_db()
    assert json_writer.dumps(row.tool_config) == b'{"n":' + text + b"}"
