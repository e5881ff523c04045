"""Run by the released client's own Python: `python lockfile.py FILE…`. Prints what it reads."""

import json
import sys
from pathlib import Path

from llmring.lockfile_core import Lockfile

found = []
for path in sys.argv[1:]:
    lockfile = Lockfile.load(Path(path))
    names = [
        (profile, alias)
        for profile in sorted(lockfile.profiles)
        for alias in lockfile.list_aliases(profile)
    ]
    found.append(
        {
            "default_profile": lockfile.default_profile,
            "aliases": {
                f"{profile}/{alias}": lockfile.resolve_alias(alias, profile)
                for profile, alias in names
            },
        }
    )
print(json.dumps(found))
