import pytest

from registry_proxy.changelog import diff


def entry(change_type, model="m", field=None, old=None, new=None, notes=None):
    return {
        "change_type": change_type,
        "model": model,
        "field": field,
        "old_value": old,
        "new_value": new,
        "notes": notes,
    }


PRICE = "dollars_per_million_tokens_input"


@pytest.mark.parametrize(
    "before, after, expected",
    [
        ({}, {"m": {"display_name": "M"}}, [entry("added", notes="M")]),
        ({"m": {"display_name": "M"}}, {}, [entry("removed", notes="M")]),
        ({"m": {PRICE: 2.0}}, {"m": {PRICE: 1.5}}, [entry("price_changed", "m", PRICE, 2.0, 1.5)]),
        (
            {"m": {"is_active": True}},
            {"m": {"is_active": False}},
            [entry("deactivated", "m", "is_active", True, False)],
        ),
        (
            {"m": {"is_active": False}},
            {"m": {"is_active": True}},
            [entry("activated", "m", "is_active", False, True)],
        ),
        ({"m": {"x": 1}}, {"m": {"x": [1]}}, [entry("field_changed", "m", "x", 1, [1])]),
        ({"m": {"x": 1}}, {"m": {}}, [entry("field_changed", "m", "x", 1, None)]),
        ({"m": {"x": None}}, {"m": {}}, []),
        ({"m": {"x": 1}}, {"m": {"x": 1.0}}, []),
    ],
    ids=[
        "added",
        "removed",
        "price",
        "deactivated",
        "activated",
        "field",
        "field gone",
        "null is absent",
        "same number",
    ],
)
def test_changes_of_one_model(before, after, expected):
    assert diff(before, after) == expected


def test_changes_are_ordered_by_model_and_member():
    entries = diff({"b": {}, "a": {"y": 1, "x": 1}}, {"a": {"y": 2, "x": 2}, "c": {}})
    assert [(e["model"], e["field"]) for e in entries] == [
        ("a", "x"),
        ("a", "y"),
        ("b", None),
        ("c", None),
    ]
