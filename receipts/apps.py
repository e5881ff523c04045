from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ReceiptsConfig(AppConfig):
    name = "receipts"

    def ready(self) -> None:
        from receipts import server_keys

        server_keys.configured()  # unusable keys end the start here
        post_migrate.connect(_register_key, sender=self)


def _register_key(plan=None, **kwargs) -> None:
    """List the signing key at every start, so that its receipts verify permanently."""
    from receipts import server_keys

    if plan is not None:  # `flush` sends the signal too, without a plan
        server_keys.register_signing_key()
