"""The environment of the tests, whatever the developer's is.

A plugin (pyproject.toml names it), because pytest-django reads the settings
before any conftest.py runs.
"""

import os
import sys
from pathlib import Path

for name in [name for name in os.environ if name.startswith(("LLMRING_", "ADMIN_"))]:
    del os.environ[name]
DATA_DIR = Path(__file__).resolve().parent.parent / ".pytest_cache" / "data"
os.environ["LLMRING_DATA_DIR"] = str(DATA_DIR)
os.environ["LLMRING_REGISTRY_BASE_URL"] = "http://registry.invalid/"
# In `bridge` mode rows would be kept apart by keys that opened projects of their own.
os.environ["LLMRING_API_KEY_VALIDATION_MODE"] = "strict"
# Folders of its own: pytest removes those of other runs, and one may be going on elsewhere.
TEMPORARY = DATA_DIR.with_name("tmp")
TEMPORARY.mkdir(parents=True, exist_ok=True)
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(TEMPORARY))
# Where nothing may be compiled beside its source, each process would compile it all again.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(DATA_DIR.with_name("compiled"))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
