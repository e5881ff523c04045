from django.apps import AppConfig
from django.core import checks


class GatewayConfig(AppConfig):
    name = "gateway"
    verbose_name = "Gateway"

    def ready(self) -> None:
        from gateway.checks import check_upstreams

        checks.register(check_upstreams)
