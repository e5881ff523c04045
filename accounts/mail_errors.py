"""Why a mail was not sent, for the operator's log."""

import re
from smtplib import SMTPRecipientsRefused, SMTPResponseException

_MAX_LENGTH = 200


def reason(error: Exception) -> str:
    """Return the error's name and text, without the addresses that servers repeat."""
    if isinstance(error, SMTPRecipientsRefused):
        said = " ".join(f"{code} {_text(text)}" for code, text in error.recipients.values())
    elif isinstance(error, SMTPResponseException):
        said = f"{error.smtp_code} {_text(error.smtp_error)}"
    else:
        said = str(error)
    said = re.sub(r"[^\s<>()]+@[^\s<>()]+", "…", " ".join(said.split()))[:_MAX_LENGTH]
    return f"{type(error).__name__} ({said})" if said else type(error).__name__


def _text(answer: bytes | str) -> str:
    return answer.decode(errors="replace") if isinstance(answer, bytes) else answer
