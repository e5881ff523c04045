"""System check of the configured upstreams."""

from django.core import checks

from gateway.upstream_config import BrokenConfig, configured


def check_upstreams(app_configs, **kwargs) -> list[checks.CheckMessage]:
    """Return one error, with the file and line, if the upstreams cannot be read."""
    try:
        configured()
    except BrokenConfig as error:
        return [checks.Error(f"The gateway's upstreams: {error}", id="gateway.E001")]
    return []
