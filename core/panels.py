"""Panels of facts for the dashboard. Template: core/panel.html."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fact:
    """One line: a name, a value, a link, and whether it needs attention."""

    name: str
    value: str
    href: str | None = None
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    facts: list[Fact] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # The URL that a slow panel is loaded from, after the page.
    load_from: str | None = None
