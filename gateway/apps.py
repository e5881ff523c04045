from django.apps import AppConfig
from django.core import checks


class GatewayConfig(AppConfig):
    name = "gateway"
    verbose_name = "Gateway"

    def ready(self) -> None:
        from gateway.checks import check_upstreams
        from gateway.reservations import follow_correction
        from usage.reversals import follow_corrections

        checks.register(check_upstreams)
        follow_corrections(follow_correction)
