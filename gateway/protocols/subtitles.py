"""Subtitles, as transcriptions in the formats `srt` and `vtt` are: text, and when it is said."""

import re

_TIME = rb"(?:([0-9]{1,4}):)?([0-9]{2}):([0-9]{2})[.,]([0-9]{3})"  # WebVTT may leave out hours
_END = re.compile(rb"^[0-9:]{5,10}[.,][0-9]{3}[ \t]+-->[ \t]+" + _TIME, re.MULTILINE)


def length(text: bytes) -> float | None:
    """Return the seconds until the last subtitle ends, nearly the length of the sound.

    None for a text that has no times.
    """
    ends = (map(int, (part or b"0" for part in match.groups())) for match in _END.finditer(text))
    seconds = (h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in ends)
    return max(seconds, default=0) or None
