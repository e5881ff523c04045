"""Numbers as people read them."""

from decimal import Decimal

import pytest

from core import number_formats


@pytest.mark.parametrize(
    ("amount", "rounded", "exact"),
    [
        ("0", "$0", "0"),
        ("1.250000000001", "$1.25", "1.250000000001"),
        ("1000000000002.350000000001", "$1,000,000,000,002.35", "1,000,000,000,002.350000000001"),
        ("0.000000000001", "$0.000000000001", "0.000000000001"),
        ("0.0000045", "$0.0000045", "0.0000045"),
        ("0.00023456", "$0.0002346", "0.00023456"),
        ("0.5", "$0.50", "0.5"),
        ("0.99999", "$1.00", "0.99999"),
        ("-0.90", "-$0.90", "-0.9"),
        ("-1234.5", "-$1,234.50", "-1,234.5"),
        ("12", "$12.00", "12"),
    ],
)
def test_amounts(amount, rounded, exact):
    assert number_formats.dollars(Decimal(amount)) == rounded
    assert number_formats.exact(Decimal(amount)) == exact


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        *[("0", "$0"), ("20", "$20.00"), ("-0.5", "-$0.50"), ("0.0002", "$0.0002")],
        *[("800000", "$800,000.00"), ("1000000", "$1M"), ("2500000", "$2.5M")],
        *[("50000000000", "$50B"), ("-150000000000", "-$150B"), ("200000000000000", "$200T")],
        *[("1000000000000000", "$1e15"), ("1500000000000000000000", "$1.5e21")],
        *[("0.00005", "$5e-5"), ("0.000000000015", "$1.5e-11"), ("-0.0000002", "-$2e-7")],
    ],
)
def test_amounts_of_an_axis_are_short(amount, text):
    assert number_formats.axis_dollars(Decimal(amount)) == text
    assert len(text) <= 11  # what an axis has room for


@pytest.mark.parametrize(
    ("change", "text"),
    [("362.500000000025", "+362.5 %"), ("-100", "−100 %"), ("0", "0 %"), ("-0.04", "0 %")],
)
def test_changes(change, text):
    assert number_formats.percent(Decimal(change)) == text
