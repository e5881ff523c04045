"""The template of the demo project."""

from core.scoping import Caller
from templates_app.models import ConversationTemplate


def make_template(caller: Caller) -> None:
    """Store a template with a variable."""
    ConversationTemplate.objects.create(
        **caller.columns(),
        name="Demo: answer a customer",
        description="Invented, as all of this project.",
        system_prompt="You answer customers of {{shop}} in two sentences.",
        variables={"shop": "our shop"},
    )
