from datetime import date

import pytest

from registry_proxy.snapshot_names import SnapshotName, parse_archive_number, parse_snapshot_name


@pytest.mark.parametrize(
    "text, name",
    [
        ("2026.08.18", SnapshotName(date(2026, 8, 18))),
        ("2026-08-18", SnapshotName(date(2026, 8, 18))),
        ("2026.08.18.2", SnapshotName(date(2026, 8, 18), 2)),
        ("2026-08-18-12", SnapshotName(date(2026, 8, 18), 12)),
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
def test_parse_snapshot_name(text, name):
    assert parse_snapshot_name(text) == name


def test_snapshot_names_are_written_with_dots_and_sort_by_time():
    first, second = SnapshotName(date(2026, 8, 18)), SnapshotName(date(2026, 8, 18), 2)
    assert (str(first), str(second)) == ("2026.08.18", "2026.08.18.2")
    assert first < second < SnapshotName(date(2026, 8, 19))


@pytest.mark.parametrize(
    "text, number",
    [("7", 7), ("0", None), ("007", None), ("-1", None), ("9" * 5000, None), ("٧", None)],
)
def test_parse_archive_number(text, number):
    assert parse_archive_number(text) == number
