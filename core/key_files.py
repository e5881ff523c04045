"""Keys that are generated at the first start, and kept in the data directory."""

import os
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

MIN_LENGTH = 32  # characters; a shorter key could be guessed


def load_or_create(data_dir: Path, name: str) -> str:
    """Return the key in a file of the data directory; generate it if there is no file.

    Only its owner can read it. Raises ImproperlyConfigured when the directory
    cannot be used, or the file holds no key.
    """
    try:
        key = _load_or_create(data_dir / name)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ImproperlyConfigured(
            f"LLMRING_DATA_DIR must be a directory that this user can write to ({reason}: "
            f"{data_dir / name}); or set LLMRING_{name.upper()}"
        ) from error
    if len(key) < MIN_LENGTH:  # such as a file that was truncated
        raise ImproperlyConfigured(
            f"{data_dir / name} must have the {MIN_LENGTH} or more characters of a key: restore it "
            f"from a backup, or delete it to have another made (or set LLMRING_{name.upper()})"
        )
    return key


def _load_or_create(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        try:
            with draft.open("w") as file:
                file.write(secrets.token_urlsafe(48))
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # atomic: of two concurrent first starts, one provides the key
            _sync_directory(path.parent)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def _sync_directory(path: Path) -> None:
    """Make the new file survive a power failure: without its key, sealed data is lost."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
