"""Sealed columns and the change of keys. The table of MCP servers serves as an example."""

import errno
from io import StringIO

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from core import key_files
from core.ids import uuid7
from core.secrets import Sealed, SecretUnreadable
from llmring_site import env
from mcp.models import Server

OLD, NEW = "old " * 10, "new " * 10
SECRET = {"token": "a-very-secret-token"}


def server(sealed: Sealed | None) -> Server:
    return Server.objects.create(
        project_id=uuid7(),
        api_key_id=uuid7(),
        name="s",
        url="http://a.b/",
        transport_type="http",
        auth_config=sealed,
    )


def reseal() -> str:
    out = StringIO()
    try:
        call_command("resealsecrets", stdout=out)
    except CommandError as error:
        out.write(str(error))
    return out.getvalue()


def test_value_is_opened_as_it_was_sealed_and_never_twice_the_same(settings):
    settings.ENCRYPTION_KEYS = [OLD]
    first, second = Sealed.of(SECRET), Sealed.of(SECRET)
    assert first.open() == second.open() == SECRET
    assert first.text != second.text
    assert "token" not in first.text
    assert "secret" not in repr(first) + str(first)


def test_key_is_made_in_the_data_directory_when_none_is_set(settings, tmp_path):
    settings.ENCRYPTION_KEYS, settings.DATA_DIR = [], tmp_path
    sealed = Sealed.of(SECRET)
    assert sealed.open() == SECRET
    file = tmp_path / "encryption_key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text()) >= 43  # 256 random bits
    settings.ENCRYPTION_KEYS = [NEW]
    assert sealed.open() == SECRET  # what was sealed before a key was set


def test_first_key_seals_and_all_open(settings):
    settings.ENCRYPTION_KEYS = [OLD]
    old = Sealed.of(SECRET)
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    new = Sealed.of(SECRET)
    assert (old.is_current, new.is_current) == (False, True)
    assert old.open() == new.open() == SECRET
    settings.ENCRYPTION_KEYS = [NEW]
    assert new.open() == SECRET
    with pytest.raises(SecretUnreadable):
        old.open()


@pytest.mark.parametrize("text", ["", "s1", "s1.00000000.AAAA", "s2.x.y", "s1.x.y.z", "plain"])
def test_what_is_not_ours_is_unreadable(text):
    with pytest.raises(SecretUnreadable):
        Sealed(text).open()


def test_tampered_secret_is_unreadable(settings):
    settings.ENCRYPTION_KEYS = [OLD]
    form, id, sealed = Sealed.of(SECRET).text.split(".")
    for place in (0, 40, len(sealed) - 6):  # the last letters may have bits that mean nothing
        other = "A" if sealed[place] != "A" else "B"
        with pytest.raises(SecretUnreadable):
            Sealed(f"{form}.{id}.{sealed[:place]}{other}{sealed[place + 1 :]}").open()


def test_column_takes_no_open_secret(db_all):
    with pytest.raises(TypeError, match="takes a Sealed"):
        server(SECRET)


def test_command_seals_everything_under_the_first_key(db_all, settings):
    settings.ENCRYPTION_KEYS = [OLD]
    sealed, absent = server(Sealed.of(SECRET)), server(None)
    lost = server(Sealed("s1.00000000.AAAA"))
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    fault = "\n1 secrets cannot be read: add the key under which they were sealed"
    assert reseal().startswith(f"1 resealed, 0 unchanged, 1 unreadable{fault}")
    assert reseal().startswith(f"0 resealed, 1 unchanged, 1 unreadable{fault}")
    settings.ENCRYPTION_KEYS = [NEW]
    for row in (sealed, absent, lost):
        row.refresh_from_db()
    assert sealed.auth_config.open() == SECRET
    assert absent.auth_config is None
    assert lost.auth_config == Sealed("s1.00000000.AAAA")


def test_short_keys_are_refused_without_being_repeated(monkeypatch):
    monkeypatch.setenv("X_KEYS", f"{NEW}, tooshort")
    with pytest.raises(ImproperlyConfigured, match="X_KEYS") as refusal:
        env.secret_keys("X_KEYS")
    assert "tooshort" not in str(refusal.value)
    monkeypatch.setenv("X_KEYS", f" {OLD},{NEW} ,")
    assert env.secret_keys("X_KEYS") == [OLD.strip(), NEW.strip()]


@pytest.mark.parametrize("name", ["secret_key", "encryption_key"])
def test_key_file_that_cannot_be_written_names_both_ways_out(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(ImproperlyConfigured) as refusal:
        key_files.load_or_create(tmp_path / "file", name)
    assert "LLMRING_DATA_DIR must be" in str(refusal.value)
    assert f"or set LLMRING_{name.upper()}" in str(refusal.value)


def test_key_file_is_made_once_and_only_for_its_owner(tmp_path):
    key = key_files.load_or_create(tmp_path / "data", "secret_key")
    assert len(key) >= 32 and key_files.load_or_create(tmp_path / "data", "secret_key") == key
    assert (tmp_path / "data" / "secret_key").stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret_key"]


@pytest.mark.parametrize("content", ["", "\n", "k" * 31])
@pytest.mark.parametrize("name", ["secret_key", "encryption_key"])
def test_key_file_without_a_key_is_refused(settings, tmp_path, name, content):
    """A power failure, or a copy that broke off, leaves one whose key everybody can guess."""
    settings.DATA_DIR, settings.ENCRYPTION_KEYS = tmp_path, []
    (tmp_path / name).write_text(content)
    with pytest.raises(ImproperlyConfigured, match=f"{tmp_path / name} must have the 32 or more"):
        key_files.load_or_create(tmp_path, name)
    assert (tmp_path / name).read_text() == content


def test_key_file_on_a_full_disk_is_not_made(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(key_files.os, "fsync", fail)
    with pytest.raises(ImproperlyConfigured, match="No space left"):
        key_files.load_or_create(tmp_path, "encryption_key")
    assert [*tmp_path.iterdir()] == []
