"""Making the classes disjoint: which counts are parts of the totals, and which are added.

Providers and exporters disagree on whether cached tokens are part of the prompt
and thinking is part of the completion. A count that cannot be inside its total
stands beside it; one that can be is inside, unless the report says otherwise.
Source: docs/http-contract/usage.md, section "Token classes".
"""

from decimal import Decimal
from typing import NamedTuple

from registry_proxy.tokens import Tokens
from usage.reports.reported_usage import as_units

_CACHED = ("cache_read", "cache_write_5m", "cache_write_1h", "cache_write")


def cached_tokens(parts: dict[str, int]) -> int:
    """Return how many tokens were read from a cache or written to one."""
    return sum([parts.get(name, 0) for name in _CACHED])


class Placement(NamedTuple):
    """Disjoint classes, what they cannot express, and the decisions that were needed."""

    tokens: Tokens
    units: dict[str, Decimal]
    notes: list[str]

    def read_as(self, form: str) -> str:
        """Return the name of the form with the decisions behind it."""
        return "+".join([form, *self.notes])


def place(
    parts: dict[str, int],
    *,
    prompt: int,
    completion: int,
    includes_cache: bool | None = None,
    includes_thinking: bool | None = None,
    thinks_beside: bool = False,
    cached_audio: int = 0,
    cached_image: int = 0,
) -> Placement:
    """Divide the totals into classes, given the classes that the report counts one by one.

    `includes_cache` and `includes_thinking` say whether the totals contain these
    parts; None: if they fit. Thinking that does not fit stands beside when
    `thinks_beside`, as some providers count; else it is cut to the completion.
    `cached_audio` and `cached_image` are both in `cache_read` and in the media
    of `parts`, and are taken out of the latter.
    """
    notes: list[str] = []
    classes, units = _place_prompt(parts, prompt, includes_cache, cached_audio, cached_image, notes)
    classes |= _place_completion(parts, completion, includes_thinking, thinks_beside, notes)
    return Placement(Tokens(**parts | classes), units, notes)


def _place_prompt(
    parts: dict[str, int],
    prompt: int,
    includes_cache: bool | None,
    cached_audio: int,
    cached_image: int,
    notes: list[str],
) -> tuple[dict[str, int], dict[str, Decimal]]:
    cached = cached_tokens(parts)
    audio, image = parts.get("audio_input", 0), parts.get("image_input", 0)
    if includes_cache is None:
        includes_cache = cached <= prompt
    if cached and not includes_cache:
        notes.append("cache_beside")
    fresh = prompt - cached if includes_cache else prompt
    if not audio + image:
        return {"input": fresh}, {}
    if fresh < audio + image <= prompt and not cached_audio + cached_image:
        # All fit, but not together: some of the media must be cached.
        cached_audio = min(audio + image - fresh, audio)
        cached_image = audio + image - fresh - cached_audio
    audio, image = audio - cached_audio, image - cached_image
    if audio + image <= fresh:
        fresh -= audio + image
    else:
        notes.append("media_beside")
    # Cached media have a price of their own, which the class of cached tokens does not express.
    units = as_units(cached_audio_tokens=cached_audio, cached_image_tokens=cached_image)
    return {"input": fresh, "audio_input": audio, "image_input": image}, units


def _place_completion(
    parts: dict[str, int],
    completion: int,
    includes_thinking: bool | None,
    thinks_beside: bool,
    notes: list[str],
) -> dict[str, int]:
    thinking = parts.get("thinking", 0)
    media = parts.get("audio_output", 0) + parts.get("image_output", 0)
    if media > completion:
        notes.append("media_beside")
        media = 0
    text = completion - media
    if includes_thinking is None:
        includes_thinking = thinking <= text or not thinks_beside
    if thinking and not includes_thinking:
        notes.append("thinking_beside")
        return {"output": text}
    if thinking > text:
        notes.append("thinking_cut")
        thinking = text
    return {"output": text - thinking, "thinking": thinking}
