"""The public registry over HTTP. Nothing else in this app uses the network.

Files are requested in parallel, with the validators of the stored copies.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Self

import requests

from core import egress
from registry_proxy import upstream_format
from registry_proxy.upstream_format import MANIFEST, WELL_KNOWN_PROVIDERS, provider_path

MAX_BYTES = 4 * 2**20  # for one file; the largest today is about 200 kB
CONNECT_SECONDS = 3.05  # slightly more than TCP's first retransmission takes
_PARALLEL = 4
_NOT_FOUND = "not found"


class UpstreamUnavailable(Exception):
    """The public registry did not answer in time, or its answer could not be used."""


@dataclass(frozen=True, slots=True)
class UpstreamFile:
    """One published file, byte for byte, with the validators that came with it."""

    path: str
    body: bytes
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamRegistry:
    """One state of the public registry: its files by path, and their content.

    `problems` are messages about what was left out, or kept from an earlier state.
    """

    files: Mapping[str, UpstreamFile]
    documents: Mapping[str, dict]
    version: str
    digest: str
    problems: list[str]

    @classmethod
    def of(cls, files: Mapping[str, UpstreamFile], problems: Iterable[str] = ()) -> Self:
        """Return the state that a manifest and provider files make; raise MalformedDocument."""
        bodies = {path: file.body for path, file in files.items()}
        documents = upstream_format.provider_documents(bodies)
        version = ""
        if MANIFEST in bodies:
            manifest = upstream_format.parse_manifest(bodies[MANIFEST])
            version = upstream_format.manifest_version(manifest)
        return cls(
            files=files,
            documents=documents,
            version=version,
            digest=upstream_format.digest(documents),
            problems=[*problems, *upstream_format.problems(bodies)],
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

    def registry(
        self, known: Mapping[str, UpstreamFile], fallback: Mapping[str, UpstreamFile] | None = None
    ) -> UpstreamRegistry:
        """Return the current state; `known` has this upstream's stored copies by path.

        A file that cannot be fetched or read is replaced by its copy in `fallback` (by default
        in `known`); without one the provider is left out. Either is in `problems`. Raises
        UpstreamUnavailable if no provider's file could be fetched.
        """
        # Validators of another upstream's copy could match a file of this one.
        held = known if fallback is None else _without_validators(fallback) | dict(known)
        wanted = {provider_path(provider) for provider in WELL_KNOWN_PROVIDERS}
        fetched, failures = self._fetch({MANIFEST, *wanted}, known)
        if failures.get(MANIFEST) == _NOT_FOUND:
            del failures[MANIFEST]  # a mirror need not have one
        elif MANIFEST in failures and MANIFEST in held:
            fetched[MANIFEST] = held[MANIFEST]
        more = {provider_path(name) for name in _listed_providers(fetched, failures, held)}
        more_fetched, more_failures = self._fetch(more - wanted, known)
        fetched |= more_fetched
        failures |= more_failures
        for path in (wanted | more) & fetched.keys():
            if error := _fault(fetched[path], held.get(path)):
                failures[path] = error
                del fetched[path]
        if not (wanted | more) & fetched.keys():
            raise UpstreamUnavailable("; ".join(f"{path}: {why}" for path, why in failures.items()))
        kept = {path: held[path] for path in failures if path in held}
        problems = [
            f"{path}: {why}; {'its last copy is kept' if path in kept else 'it is left out'}"
            for path, why in sorted(failures.items())
        ]
        try:
            return UpstreamRegistry.of(fetched | kept, problems)
        except upstream_format.MalformedDocument as error:
            raise UpstreamUnavailable(str(error)) from error

    def files(
        self, paths: Iterable[str], known: Mapping[str, UpstreamFile]
    ) -> dict[str, UpstreamFile]:
        """Return those of the files that exist, by path.

        Raises UpstreamUnavailable if one of them fails other than by a 404.
        """
        fetched, failures = self._fetch(paths, known)
        for path, why in failures.items():
            if why != _NOT_FOUND:
                raise UpstreamUnavailable(f"{path}: {why}")
        return fetched

    def _fetch(
        self, paths: Iterable[str], known: Mapping[str, UpstreamFile]
    ) -> tuple[dict[str, UpstreamFile], dict[str, str]]:
        """Return the files by path, and why the others could not be fetched."""
        pool = ThreadPoolExecutor(_PARALLEL)
        futures = {path: pool.submit(self._file, path, known.get(path)) for path in sorted(paths)}
        # Each file has its own limit; this bounds the files that wait for a thread.
        wait(futures.values(), timeout=2 * self._timeout)
        pool.shutdown(wait=False, cancel_futures=True)
        files, failures = {}, {}
        for path, future in futures.items():
            if future.cancelled() or not future.done():
                failures[path] = f"no answer within {2 * self._timeout} seconds"
            elif error := future.exception():
                if not isinstance(error, UpstreamUnavailable):
                    raise error
                failures[path] = str(error)
            else:
                files[path] = future.result()
        return files, failures

    def _file(self, path: str, known: UpstreamFile | None) -> UpstreamFile:
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
                    raise UpstreamUnavailable(_NOT_FOUND)
                if response.status_code == 304 and known is not None:
                    return known
                if response.status_code != 200:
                    raise UpstreamUnavailable(f"status {response.status_code}")
                return UpstreamFile(
                    path=path,
                    body=egress.read(response, limit=MAX_BYTES),
                    etag=_validator(response, "ETag"),
                    last_modified=_validator(response, "Last-Modified"),
                )
        except egress.TooLarge as error:
            raise UpstreamUnavailable(f"more than {MAX_BYTES} bytes") from error
        except (requests.RequestException, OSError) as error:
            # Not the error's text: it contains the address, which may contain a password.
            raise UpstreamUnavailable(type(error).__name__) from error


def _without_validators(files: Mapping[str, UpstreamFile]) -> dict[str, UpstreamFile]:
    return {path: UpstreamFile(path, file.body) for path, file in files.items()}


def _listed_providers(
    fetched: Mapping[str, UpstreamFile],
    failures: dict[str, str],
    held: Mapping[str, UpstreamFile],
) -> list[str]:
    """Return the providers of the manifest; without a readable one, those known so far."""
    if MANIFEST in fetched:
        try:
            return upstream_format.listed_providers(
                upstream_format.parse_manifest(fetched[MANIFEST].body)
            )
        except upstream_format.MalformedDocument as error:
            failures[MANIFEST] = str(error)
            del fetched[MANIFEST]
    return [upstream_format.provider_of(path) for path in held if path != MANIFEST]


def _fault(file: UpstreamFile, held: UpstreamFile | None) -> str:
    """Return why a provider's file cannot be used; empty if it can.

    A provider does not withdraw all its models: a file without any is an accident.
    """
    try:
        document = upstream_format.parse_provider(file.body)
        upstream_format.digest({"": document})
    except upstream_format.MalformedDocument as error:
        return str(error)
    return "" if document["models"] or not _has_models(held) else "it has no models"


def _has_models(file: UpstreamFile | None) -> bool:
    try:
        return file is not None and bool(upstream_format.parse_provider(file.body)["models"])
    except upstream_format.MalformedDocument:
        return False


def _conditions(known: UpstreamFile | None) -> dict[str, str]:
    if known is None:
        return {}
    conditions = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in conditions.items() if value}


def _validator(response: requests.Response, name: str) -> str:
    """Return the header's value; empty if it cannot be stored and sent back."""
    value = response.headers.get(name, "")
    return value if len(value) <= 255 and value.isascii() and value.isprintable() else ""
