"""The copy of the public registry that ships with this package.

A server that has never reached upstream prices from it. Its files are upstream's,
byte for byte; their `updated_at` says how old they are.
"""

from importlib.resources import files

from registry_proxy.client import UpstreamFile, UpstreamRegistry
from registry_proxy.upstream_format import MANIFEST, WELL_KNOWN_PROVIDERS, provider_path


def registry_files() -> dict[str, UpstreamFile]:
    """Return the bundled files by their paths."""
    folder = files(__package__) / "bundled_registry"
    paths = (MANIFEST, *map(provider_path, WELL_KNOWN_PROVIDERS))
    return {path: UpstreamFile(path, folder.joinpath(path).read_bytes()) for path in paths}


def registry() -> UpstreamRegistry:
    """Return the whole bundled registry."""
    return UpstreamRegistry.of(registry_files())
