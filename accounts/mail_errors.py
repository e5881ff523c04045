"""Why a mail was not sent, for the operator's log."""

import re
from smtplib import SMTPRecipientsRefused, SMTPResponseException

_MAX_LENGTH = 200


def reason(error: Exception) -> str:
    """Return the error's name and text, without the addresses that servers repeat."""
    if isinstance(error, SMTPRecipientsRefused):
        text = " ".join(f"{code} {_text(reply)}" for code, reply in error.recipients.values())
    elif isinstance(error, SMTPResponseException):
        text = f"{error.smtp_code} {_text(error.smtp_error)}"
    else:
        text = str(error)
    text = re.sub(r"[^\s<>()]+@[^\s<>()]+", "…", " ".join(text.split()))[:_MAX_LENGTH]
    return f"{type(error).__name__} ({text})" if text else type(error).__name__


def _text(reply: bytes | str) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else reply
