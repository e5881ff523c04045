"""Logging through structlog: a line for a person, or one JSON object a line."""

import structlog

_SHARED = [
    structlog.contextvars.merge_contextvars,  # the request id
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_settings(*, level: str, format: str) -> dict:
    """Django's LOGGING: everything to standard error, in the given format."""
    if format == "json":
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # Not the pretty traceback: it shows local variables, and a key may be one.
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)]
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
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
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {
            # Replies of 4xx are the caller's affair.
            "django.request": {"level": "ERROR"},
            # The pool reports every connection that a restarted database costs.
            "psycopg.pool": {"level": "ERROR"},
            # Its workers' starts and ends; serving.py reports what matters.
            "uvicorn.error": {"level": "WARNING"},
            "django": {"level": level.upper(), "handlers": [], "propagate": True},
        },
    }
