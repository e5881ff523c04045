"""System check of the configured upstreams."""

from django.core import checks

from gateway.upstream_config import BrokenConfig, configured


def check_upstreams(app_configs, **kwargs) -> list[checks.CheckMessage]:
    """Return an error that names file and line."""
    try:
        configured()
    except BrokenConfig as error:
        return [checks.Error(f"The gateway's upstreams: {error}", id="gateway.E001")]
    return []
