from django.apps import AppConfig, apps
from django.conf import settings
from django.db import connections
from django.db.models.signals import pre_migrate


class LlmringSiteConfig(AppConfig):
    name = "llmring_site"

    def ready(self) -> None:
        from llmring_site import checks, openapi  # noqa: F401 - registers checks and extensions

        # Sent by apps with models only, and once is enough: any one of them will do.
        pre_migrate.connect(_create_first_schema, sender=apps.get_app_config("contenttypes"))


def _create_first_schema(using: str, **kwargs) -> None:
    """Django's table of migrations is made before the first of them, which makes the schemas."""
    with connections[using].cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {settings.DATABASE_SCHEMA}")
