"""Panels of facts, for dashboards: what an app wants looked at. Template: core/panel.html."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fact:
    """One line: a name, its value, where it leads, and whether somebody should act."""

    name: str
    value: str
    href: str | None = None
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    facts: list[Fact] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # Where the panel is fetched from, when that takes longer than the page may.
    load_from: str | None = None
