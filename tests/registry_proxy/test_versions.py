from datetime import date

import pytest

from registry_proxy.versions import Dated, parse_archive, parse_dated


@pytest.mark.parametrize(
    "text, dated",
    [
        ("2026.08.18", Dated(date(2026, 8, 18))),
        ("2026-08-18", Dated(date(2026, 8, 18))),
        ("2026.08.18.2", Dated(date(2026, 8, 18), 2)),
        ("2026-08-18-12", Dated(date(2026, 8, 18), 12)),
        ("2026.08.18.0", None),
        ("2026.13.01", None),
        ("2026.02.30", None),
        ("0000.01.01", None),
        ("2026.8.18", None),
        ("2026.08.18 ", None),
        ("2026.08.18\n", None),
        ("٢٠٢٦.08.18", None),
        ("latest", None),
        ("", None),
    ],
)
def test_parse_dated(text, dated):
    assert parse_dated(text) == dated


def test_dated_names_are_written_with_dots_and_sort_by_time():
    first, second = Dated(date(2026, 8, 18)), Dated(date(2026, 8, 18), 2)
    assert (str(first), str(second)) == ("2026.08.18", "2026.08.18.2")
    assert first < second < Dated(date(2026, 8, 19))


@pytest.mark.parametrize(
    "text, number",
    [("7", 7), ("0", None), ("007", None), ("-1", None), ("9" * 5000, None), ("٧", None)],
)
def test_parse_archive(text, number):
    assert parse_archive(text) == number
