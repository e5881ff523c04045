"""The copy of the public registry that ships with this package.

A server that has never reached upstream prices from it. Its files are upstream's,
byte for byte; their `updated_at` says how old they are.
"""

from importlib.resources import files

from registry_proxy.client import UpstreamFile, UpstreamRegistry
from registry_proxy.upstream_format import MANIFEST, WELL_KNOWN_PROVIDERS, provider_path


def registry() -> UpstreamRegistry:
    """Return the whole bundled registry."""
    folder = files(__package__) / "bundled_registry"
    paths = (MANIFEST, *map(provider_path, WELL_KNOWN_PROVIDERS))
    bundled = {path: UpstreamFile(path, folder.joinpath(path).read_bytes()) for path in paths}
    return UpstreamRegistry.of(bundled)
