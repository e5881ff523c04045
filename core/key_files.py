"""Keys made at the first start and kept in the data directory."""

import os
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def load_or_create(data_dir: Path, name: str) -> str:
    """Return the key in this file of the data directory, created when it is missing.

    Only its owner can read it. Raises ImproperlyConfigured when the directory
    cannot be used.
    """
    try:
        return _load_or_create(data_dir / name)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ImproperlyConfigured(
            f"LLMRING_DATA_DIR must be a directory that this user can write to ({reason}: "
            f"{data_dir / name}); or set LLMRING_{name.upper()}"
        ) from error


def _load_or_create(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        try:
            os.link(draft, path)  # atomic: of two first starts, one makes the key
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
