"""A full disk loses metrics, but stops no process."""

import errno
import os
from contextlib import closing

import pytest
from prometheus_client.multiprocess import MultiProcessCollector

from gateway import metrics_values
from gateway.metrics_values import ReservedDict

KEY = '["m{number}", "m{number}", {{}}, "help"]'


@pytest.fixture
def full_disk(monkeypatch):
    """A function after whose call no byte can be written; some of the last ones are."""

    def fill() -> None:
        write = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[: len(data) // 2]))

    return fill


def values(file) -> dict[str, float]:
    return {key: value for key, value, _, _ in ReservedDict.read_all_values_from_file(str(file))}


def test_every_byte_that_is_mapped_is_on_the_disk(tmp_path):
    file = tmp_path / "counter_1.db"
    kept = ReservedDict(str(file))
    for number in range(2_000):
        kept.write_value(KEY.format(number=number), number, 0)
    assert file.stat().st_size == kept._capacity > 65_536
    assert file.stat().st_blocks * 512 >= kept._capacity
    assert values(file) == {KEY.format(number=number): number for number in range(2_000)}
    kept.close()
    with closing(ReservedDict(str(file))) as again:
        assert again.read_value(KEY.format(number=1_999))[0] == 1_999


def test_disk_that_is_full_from_the_start_leaves_no_file(tmp_path, full_disk, caplog):
    full_disk()
    kept = ReservedDict(str(tmp_path / "counter_1.db"))
    kept.write_value("key", 3, 0)
    assert kept.read_value("key") == (3, 0)
    assert [*tmp_path.iterdir()] == []
    assert [*MultiProcessCollector(None, path=str(tmp_path)).collect()] == []
    assert os.strerror(errno.ENOSPC) in caplog.text
    kept.close()


def test_disk_that_gets_full_leaves_what_was_counted(tmp_path, full_disk, caplog, monkeypatch):
    monkeypatch.setattr(metrics_values, "_FIRST_BYTES", 4096)
    file = tmp_path / "counter_1.db"
    kept = ReservedDict(str(file))
    kept.write_value("before", 1, 0)
    full_disk()
    for number in range(2_000):
        kept.write_value(KEY.format(number=number), number, 0)
    assert kept.read_value(KEY.format(number=1_999))[0] == 1_999
    assert kept.read_value("before")[0] == 1
    assert values(file)["before"] == 1
    assert caplog.text.count("are no longer kept") == 1
    kept.close()
