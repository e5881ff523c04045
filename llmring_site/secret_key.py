"""Django's secret key, made at the first start and kept in the data directory."""

import os
import secrets
from pathlib import Path


def stored(data_dir: Path) -> str:
    """The key in `<data directory>/secret_key`; made there, readable by us alone, when missing."""
    path = data_dir / "secret_key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"secret_key.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        try:
            os.link(draft, path)  # atomic: of two first starts, one makes the key
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
