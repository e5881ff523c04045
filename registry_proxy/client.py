"""The public registry over HTTP. Nothing else in this app uses the network.

Files are requested in parallel, with the validators of the stored copies.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import requests

from core import egress
from registry_proxy import upstream_format
from registry_proxy.upstream_format import MANIFEST, WELL_KNOWN_PROVIDERS, provider_path

MAX_BYTES = 4 * 2**20  # for one file; the largest today is about 200 kB
CONNECT_SECONDS = 3.05  # slightly more than TCP's first retransmission takes
_PARALLEL = 4


class UpstreamUnavailable(Exception):
    """The public registry did not answer, or not in time, or with something else."""


@dataclass(frozen=True, slots=True)
class UpstreamFile:
    """One published file, byte for byte, with the validators that came with it."""

    path: str
    body: bytes
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamRegistry:
    """One complete state of the public registry: its files by path, and their content."""

    files: Mapping[str, UpstreamFile]
    documents: Mapping[str, dict]
    version: str
    digest: str

    @classmethod
    def of(cls, files: Mapping[str, UpstreamFile]) -> Self:
        """Return the state that a manifest and provider files make; raise MalformedDocument."""
        manifest = files.get(MANIFEST)
        documents = {
            upstream_format.provider_of(path): upstream_format.parse_provider(file.body, path)
            for path, file in sorted(files.items())
            if path != MANIFEST
        }
        return cls(
            files=files,
            documents=documents,
            version=""
            if manifest is None
            else upstream_format.manifest_version(upstream_format.parse_manifest(manifest.body)),
            digest=upstream_format.digest(documents),
        )


def open_session() -> requests.Session:
    """Return a session for calls to the public registry, under the policy of core.egress."""
    return egress.session(pool_size=_PARALLEL)


class RegistryClient:
    """Fetches files from `base_url`; each one takes at most `timeout` seconds."""

    def __init__(self, session: requests.Session, *, base_url: str, timeout: float) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/") + "/"
        self._timeout = timeout

    def registry(self, known: Mapping[str, UpstreamFile]) -> UpstreamRegistry:
        """Return the complete current state; `known` has the stored copies by path.

        Raises UpstreamUnavailable if any provider's file cannot be fetched or read:
        half a registry would leave the other half's models without prices.
        """
        wanted = {provider_path(provider) for provider in WELL_KNOWN_PROVIDERS}
        files = self.files({MANIFEST, *wanted}, known)
        try:
            manifest = (
                upstream_format.parse_manifest(files[MANIFEST].body) if MANIFEST in files else None
            )
            listed = (
                _known_providers(known)
                if manifest is None
                else upstream_format.listed_providers(manifest)
            )
            more = {provider_path(provider) for provider in listed} - wanted
            files |= self.files(more, known)
            if missing := sorted((wanted | more) - files.keys()):
                raise UpstreamUnavailable(f"{', '.join(missing)}: not found")
            return UpstreamRegistry.of(files)
        except upstream_format.MalformedDocument as error:
            raise UpstreamUnavailable(str(error)) from error

    def files(
        self, paths: Iterable[str], known: Mapping[str, UpstreamFile]
    ) -> dict[str, UpstreamFile]:
        """Return those of the files that exist, by path.

        Raises UpstreamUnavailable if one of them fails other than by a 404.
        """
        paths = sorted(paths)
        pool = ThreadPoolExecutor(_PARALLEL)
        try:
            # Each file has its own limit; this bounds the files that wait for a thread.
            fetched = pool.map(self._file, paths, map(known.get, paths), timeout=2 * self._timeout)
            return {file.path: file for file in fetched if file is not None}
        except TimeoutError as error:
            raise UpstreamUnavailable(f"no answer within {2 * self._timeout} seconds") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _file(self, path: str, known: UpstreamFile | None) -> UpstreamFile | None:
        try:
            with (
                egress.time_limit(self._timeout),
                self._session.get(
                    self._base_url + path,
                    headers=_conditions(known),
                    timeout=(min(CONNECT_SECONDS, self._timeout), self._timeout),
                    stream=True,
                ) as response,
            ):
                if response.status_code == 404:
                    return None
                if response.status_code == 304 and known is not None:
                    return known
                if response.status_code != 200:
                    raise UpstreamUnavailable(f"{path}: status {response.status_code}")
                return UpstreamFile(
                    path=path,
                    body=egress.read(response, limit=MAX_BYTES),
                    etag=_validator(response, "ETag"),
                    last_modified=_validator(response, "Last-Modified"),
                )
        except egress.TooLarge as error:
            raise UpstreamUnavailable(f"{path}: more than {MAX_BYTES} bytes") from error
        except (requests.RequestException, OSError) as error:
            # Not the error's text: it contains the address, which may contain a password.
            raise UpstreamUnavailable(f"{path}: {type(error).__name__}") from error


def _known_providers(known: Mapping[str, UpstreamFile]) -> list[str]:
    return [upstream_format.provider_of(path) for path in known if path != MANIFEST]


def _conditions(known: UpstreamFile | None) -> dict[str, str]:
    if known is None:
        return {}
    conditions = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in conditions.items() if value}


def _validator(response: requests.Response, name: str) -> str:
    """Return the header's value; empty if it cannot be stored and sent back."""
    value = response.headers.get(name, "")
    return value if len(value) <= 255 and value.isascii() and value.isprintable() else ""
