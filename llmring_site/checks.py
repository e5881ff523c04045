"""System checks of the whole site; `manage.py check` runs them, and so does every start."""

from django.core.checks import Warning, register

from llmring_site import env


@register()
def unknown_variables(app_configs, **kwargs) -> list[Warning]:
    return [
        Warning(
            f"The environment variable {name} is not one of ours.",
            hint="It has no effect. The README lists all variables.",
            id="llmring.W001",
        )
        for name in env.unknown()
    ]
