"""The classes of tokens that providers bill at separate prices.

Source: docs/http-contract.md, section "Cost".
"""

from dataclasses import dataclass, fields
from operator import attrgetter


@dataclass(slots=True)  # never changed; frozen, each takes four times as long to make
class Tokens:
    """Token counts of one call in disjoint classes: no token is in two of them.

    Raises ValueError for a negative count.
    """

    input: int = 0  # fresh text of the prompt
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_write: int = 0  # of a lifetime that was not stated
    output: int = 0  # text of the completion, without thinking
    thinking: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_output: int = 0

    def __post_init__(self) -> None:
        if min(_counts(self)) < 0:
            raise ValueError("token counts are never negative")

    def by_class(self) -> dict[str, int]:
        """Return the counts by the names of their classes, without those that are 0."""
        counts = zip(TOKEN_CLASSES, _counts(self), strict=True)
        return {name: count for name, count in counts if count}

    @property
    def prompt(self) -> int:
        """All input tokens: fresh, read from a cache and written to one."""
        return (
            self.input
            + self.cache_read
            + self.cache_write_5m
            + self.cache_write_1h
            + self.cache_write
            + self.audio_input
            + self.image_input
        )

    @property
    def completion(self) -> int:
        """All output tokens, thinking included."""
        return self.output + self.thinking + self.audio_output + self.image_output


TOKEN_CLASSES = tuple(field.name for field in fields(Tokens))
# Tokens that are counted as units, since no class expresses their price.
TOKEN_UNITS = frozenset(
    {
        *("cached_audio_tokens", "cached_image_tokens", "citation_tokens"),
        *("image_tool_input_tokens", "image_tool_output_tokens"),
    }
)
_counts = attrgetter(*TOKEN_CLASSES)
