"""Every member of every form changed, dropped or added: never valid."""

import copy
import json

import pytest

from receipts import signing, verification
from tests.receipts import vectors

BATCH = vectors.flat() | {
    "receipt_type": "batch",
    "description": "January",
    "tags": ["a", "b"],
    "batch_summary": {
        "total_calls": 2,
        "total_cost": 0.003,
        "by_model": {"gpt-4o": {"calls": 2, "cost": 0.003, "tokens": 15}},
        "conversation_ids": ["3475c6e4-0000-7000-8000-000000000000"],
        "log_ids": [],
    },
}
# As a server of August 2025 signed it: sorted names, and Python's spelling of the time.
OLDER_NESTED = vectors.nested() | {"cost": {"amount": "0.00033", "calculation": "demo"}}
OLDER_TEXT = json.dumps(
    OLDER_NESTED | {"timestamp": "2025-01-02 03:04:05+00:00"},
    sort_keys=True,
    separators=(",", ":"),
)
FORMS = {
    "older nested": OLDER_NESTED
    | {"signature": signing.sign_text(OLDER_TEXT.encode(), vectors.KEY)},
    "flat": vectors.signed_flat(),
    "older flat": vectors.flat_as_sent(),
    "nested": vectors.signed_nested(),
    "batch": BATCH | {"signature": vectors.signature_of(BATCH)},
    "with more members": {
        **vectors.nested(),
        "extra": [{"deep": None}],
        "signature": vectors.signature_of(vectors.nested() | {"extra": [{"deep": None}]}),
    },
}


def _places(value, path=()):
    """The path of every member and item below `value`, and of every object."""
    if isinstance(value, dict):
        yield path, "add"
        for name, inner in value.items():
            yield (*path, name), "drop"
            yield from _places(inner, (*path, name))
    elif isinstance(value, list):
        yield path, "append"
        for index, inner in enumerate(value):
            yield (*path, index), "drop"
            yield from _places(inner, (*path, index))
    if path:
        yield path, "change"


def _tampered(document, path, how):
    document = copy.deepcopy(document)
    parent, holder = None, document
    for step in path:
        parent, holder = holder, holder[step]
    if how == "drop":
        del parent[path[-1]]
    elif how == "add":
        holder["added"] = 0
    elif how == "append":
        holder.append("added")
    else:
        parent[path[-1]] = _other(holder)
    return document


def _other(value):
    match value:
        case bool() | None:
            return 1
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case list() | dict():
            return "x"


CASES = [
    pytest.param(form, path, how, id=f"{form}: {how} {'.'.join(map(str, path))}")
    for form, document in FORMS.items()
    for path, how in _places(document)
]


@pytest.mark.parametrize("document", FORMS.values(), ids=FORMS)
def test_genuine_receipts_are_valid(document):
    verification.verify(document, [vectors.KEY.public])


@pytest.mark.parametrize(("form", "path", "how"), CASES)
def test_tampered_receipts_are_not_valid(form, path, how):
    tampered = _tampered(FORMS[form], path, how)
    assert tampered != FORMS[form]
    with pytest.raises(verification.NotValid):
        verification.verify(tampered, [vectors.KEY.public])


def test_type_changes_are_not_valid():
    for name, value in vectors.flat().items():
        other = str(value) if not isinstance(value, str) else [value]
        with pytest.raises(verification.NotValid):
            verification.verify(vectors.signed_flat() | {name: other}, [vectors.KEY.public])


def test_a_summary_cannot_be_attached_to_a_genuine_single_receipt():
    """The older server's signatures cover 13 members, not a summary beside them."""
    for base in (vectors.signed_flat(), vectors.flat_as_sent()):
        forged = base | {"batch_summary": {"total_calls": 9}, "receipt_type": "batch"}
        with pytest.raises(verification.NotValid, match="13 base members only"):
            verification.verify(forged, [vectors.KEY.public])


def test_another_keys_signature_is_not_valid():
    forged = vectors.nested() | {
        "signature": vectors.signature_of(vectors.nested(), vectors.OTHER_KEY)
    }
    with pytest.raises(verification.NotValid):
        verification.verify(forged, [vectors.KEY.public, vectors.OTHER_KEY.public])
