"""The name by which the older server was imported and started."""

from llmring_site.library import create_app

__all__ = ["create_app"]
