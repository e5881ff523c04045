from django.apps import AppConfig, apps
from django.conf import settings
from django.db import connections
from django.db.models.signals import pre_migrate


class CoreConfig(AppConfig):
    name = "core"

    def ready(self) -> None:
        from core.database import forks  # noqa: F401  registers what it does

        # Sent by apps with models only, and once is enough: any one of them will do.
        pre_migrate.connect(_create_first_schema, sender=apps.get_app_config("contenttypes"))


def _create_first_schema(using: str, **kwargs) -> None:
    """Create the schema that holds Django's own table of migrations, before that table."""
    from core.database.operations import create_schema

    with connections[using].cursor() as cursor:
        cursor.execute(create_schema(settings.DATABASE_SCHEMA))
