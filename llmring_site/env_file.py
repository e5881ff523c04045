"""The `.env` file of the working directory."""

import io
import logging
import os
import re
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from dotenv.parser import parse_stream
from dotenv.variables import parse_variables

logger = logging.getLogger(__name__)


def load_env_file(path: Path) -> None:
    """Add the file's variables to the environment, which wins where both have one.

    `${NAME}` is replaced as in a shell: not inside single quotes. Raises
    ImproperlyConfigured for a file that cannot be read as UTF-8 text.
    """
    if not path.is_file():
        return
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is in another encoding"
        raise ImproperlyConfigured(
            f"{path.absolute()} must be a readable file of UTF-8 text ({reason}): save it as UTF-8"
        ) from error
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(content)):
        if binding.error:
            logger.warning("%s, line %s is ignored: not NAME=value", path, binding.original.line)
        elif binding.key and binding.value is not None:
            value = binding.value
            if not re.match(r"[^=]*=\s*'", binding.original.string):
                known = values | os.environ
                value = "".join(part.resolve(known) for part in parse_variables(value))
            values[binding.key] = value
    for name, value in values.items():
        os.environ.setdefault(name, value)
