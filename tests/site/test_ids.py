"""UUIDv7 (RFC 9562, section 5.7)."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from core import ids


def test_example_of_the_rfc_is_read_and_bounded():
    """RFC 9562, appendix A.6: 2022-02-22T19:22:22Z is 0x017F22E279B0 milliseconds."""
    at = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    assert ids.lowest(at) == UUID("017f22e2-79b0-7000-8000-000000000000")
    assert ids.moment(UUID("017f22e2-79b0-7000-98c4-dc0c0c07398f")) == at


def test_every_microsecond_survives_the_round_trip_and_the_order():
    base = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    moments = [base + timedelta(microseconds=n) for n in range(2000)]
    made = [ids.uuid7(at) for at in moments]
    assert [ids.moment(id) for id in made] == moments
    assert made == sorted(made)
    assert all(id.version == 7 and id.variant == "specified in RFC 4122" for id in made)
    assert all(
        ids.lowest(at) <= id < ids.lowest(at + timedelta(microseconds=1))
        for at, id in zip(moments, made, strict=True)
    )


def test_ids_of_one_moment_differ_unless_fixed():
    at = datetime(2026, 1, 2, tzinfo=UTC)
    assert ids.uuid7(at) != ids.uuid7(at)
    assert ids.uuid7(at, random=7) == ids.uuid7(at, random=7)
