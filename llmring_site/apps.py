from django.apps import AppConfig


class LlmringSiteConfig(AppConfig):
    name = "llmring_site"

    def ready(self) -> None:
        from llmring_site import checks  # noqa: F401 - registers the checks
