from django.apps import AppConfig


class RegistryProxyConfig(AppConfig):
    name = "registry_proxy"
    verbose_name = "Registry"
