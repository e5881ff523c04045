"""Static files under hashed names, compressed, collected by the server itself.

`collect` copies them from the packages into the data directory, at the first start of a
version. If that cannot be written, the files are served from the packages under their plain
names.
"""

import hashlib
import logging
import re
from pathlib import Path

import django
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.http import HttpRequest
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.storage import CompressedManifestStaticFilesStorage

logger = logging.getLogger(__name__)

# Files that no page loads.
_IGNORED = ("*.map", "LICENSE*", "*.txt", "rest_framework", "swagger-ui-es*", "oauth2-redirect*")
_STAMP = ".collected"  # holds a fingerprint of the files that were collected last


class StaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Hashed names for collected files, and plain ones for others instead of an error."""

    # Only references of style sheets: scripts refer to source maps, which are not collected.
    patterns = (
        ("*.css", (r"""(?P<matched>url\((?P<quote>['"]{0,1})\s*(?P<url>.*?)(?P=quote)\))""",)),
    )
    manifest_strict = False

    def read_manifest(self) -> str | None:
        try:
            return super().read_manifest()
        except OSError:  # nothing could be collected
            return None

    def stored_name(self, name: str) -> str:
        try:
            return super().stored_name(name)
        except ValueError:  # it was not collected
            return name


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """Whitenoise, with a separate ETag for each content coding of a file."""

    def add_files(self, root, prefix=None) -> None:
        # Whitenoise warns about a missing directory; without it, plain names are served.
        if Path(root).is_dir():
            super().add_files(root, prefix)

    @staticmethod
    def serve(static_file, request: HttpRequest):
        meta, plain = request.META, static_file.etag
        sent = meta.get("HTTP_IF_NONE_MATCH")
        matched = next((tag for tag in _tags(sent) if _without_coding(tag) == plain), None)
        if sent is not None:
            meta["HTTP_IF_NONE_MATCH"] = plain if matched else ""
        # Serve a range only of the file of which the client has a part already.
        if _without_coding(meta.get("HTTP_IF_RANGE", plain)) != plain or _is_one_byte(meta):
            meta.pop("HTTP_RANGE", None)
        response = WhiteNoiseMiddleware.serve(static_file, request)
        if response.status_code == 304:
            response["ETag"] = matched or plain
        elif coding := response.headers.get("Content-Encoding"):
            response["ETag"] = f'{plain[:-1]}-{coding}"'
        return response


def _tags(header: str | None) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in (header or "").split(",")]


def _without_coding(tag: str) -> str:
    return re.sub(r'-(gzip|br)"$', '"', tag)


def _is_one_byte(meta: dict) -> bool:
    """Return whether the range is a single byte, which whitenoise refuses by mistake."""
    return re.fullmatch(r"bytes=(\d+)-\1", meta.get("HTTP_RANGE", "").replace(" ", "")) is not None


def collect() -> None:
    """Copy, hash and compress the files, unless the same ones were collected before.

    Files of earlier versions stay, for pages that are still open. Only logs a warning if the
    data directory cannot be written.
    """
    stamp = Path(settings.STATIC_ROOT) / _STAMP
    wanted = _fingerprint()
    try:
        if stamp.exists() and stamp.read_text() == wanted:
            return
        call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=[*_IGNORED])
        stamp.write_text(wanted)
    except OSError as error:
        logger.warning("static files are served uncompressed: %s", error)


def _fingerprint() -> str:
    """Return a digest that changes with any file, and with the code that processes them."""
    digest = hashlib.sha256(f"{django.__version__} {_IGNORED}".encode())
    for finder in finders.get_finders():
        for path, storage in finder.list(list(_IGNORED)):
            stat = Path(storage.path(path)).stat()
            digest.update(f"{path}\x00{stat.st_size}\x00{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
