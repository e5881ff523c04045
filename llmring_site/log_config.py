"""Logging through structlog: lines of text for people, or one JSON object for each.

With a file, all processes write to it and one of them rotates it. concurrent-log-handler
does that under a lock, also among forked workers; the standard library's handlers lose
lines when several processes rotate one file.
"""

from pathlib import Path

import structlog

from core.redaction import without_secrets
from core.terminals import escaped

CALLS_LOGGER = "llmring.calls"  # of gateway/event_log.py
_SHARED = [
    structlog.contextvars.merge_contextvars,  # the request id
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_settings(
    *, level: str, format: str, file: Path | None, max_bytes: int, backups: int
) -> dict:
    """Django's LOGGING: everything to standard error, or as JSON to the file.

    No line has a key or a token. The lines of gateway/event_log.py go to the file alone.
    """
    if format == "json" or file:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # Not the pretty traceback, which shows local variables: one may be a key.
        plain = structlog.dev.plain_traceback
        console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)
        last = [_one_line_event, console, _without_controls]
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    rotated = {
        "class": "llmring_site.log_file.RotatedFile",
        "filename": str(file),
        "maxBytes": max_bytes,
        "backupCount": backups,
        "encoding": "utf-8",
    }
    own = rotated if file else {"class": "logging.StreamHandler"}
    calls = {**rotated, "formatter": "plain"} if file else {"class": "logging.NullHandler"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *last,
                    lambda logger, name, line: without_secrets(line),
                ],
            },
            "plain": {"format": "%(message)s"},
        },
        "handlers": {"own": {**own, "formatter": "structured"}, "calls": calls},
        "root": {"handlers": ["own"], "level": level.upper()},
        "loggers": {
            CALLS_LOGGER: {"handlers": ["calls"], "level": "INFO", "propagate": False},
            # Replies of 4xx are the callers' mistakes.
            "django.request": {"level": "ERROR"},
            # The pool logs every connection that is lost when the database restarts.
            "psycopg.pool": {"level": "ERROR"},
            # It logs starts and ends of processes; supervisor.py logs what matters.
            "uvicorn.error": {"level": "WARNING"},
            "django": {"level": level.upper(), "handlers": [], "propagate": True},
        },
    }


def _one_line_event(logger, name: str, event: dict) -> dict:
    """Escape line ends, so that a path cannot forge another line of the log."""
    return {**event, "event": escaped(str(event["event"]))}


def _without_controls(logger, name: str, line: str) -> str:
    return "\n".join(map(escaped, line.split("\n")))
