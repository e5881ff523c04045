from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ReceiptsConfig(AppConfig):
    name = "receipts"

    def ready(self) -> None:
        from receipts import keyring

        keyring.configured()  # keys that cannot be used end the start here
        post_migrate.connect(_register_key, sender=self)


def _register_key(plan=None, **kwargs) -> None:
    """At every start: the key that signs from now on, so that it stays listed for good."""
    from receipts import keyring

    if plan is not None:  # `flush` sends the signal too, without a plan
        keyring.register_signing_key()
