"""Keys made at the first start and kept in the data directory."""

import os
import secrets
from pathlib import Path


def stored(data_dir: Path, name: str = "secret_key") -> str:
    """The key in this file of the data directory; made there, readable by us alone, when missing.

    Django's own secret key is the one called `secret_key`.
    """
    path = data_dir / name
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        try:
            os.link(draft, path)  # atomic: of two first starts, one makes the key
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
