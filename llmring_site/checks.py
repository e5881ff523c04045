"""System checks of the whole site; `manage.py check` runs them, and so does every start.

Those of the database run before migrations, also with `manage.py migrate`.
"""

import ssl

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register
from django.db import connections
from django.urls import resolve

from gateway.protocols import protocol_of
from llmring_site import env

UNKNOWN_VARIABLE = "llmring.W001"
_DATABASE_STATE = """
    SELECT current_setting('server_encoding'), current_setting('search_path'),
        current_setting('transaction_read_only')::boolean, current_database(),
        quote_ident(%(schema)s) = %(schema)s,
        (SELECT bool_and(
             CASE WHEN to_regnamespace(name) IS NULL
                  THEN has_database_privilege(current_database(), 'CREATE')
                  ELSE has_schema_privilege(name, 'CREATE') END)
         FROM unnest(%(schemas)s::text[]) AS name)
"""


@register()
def check_unknown_variables(app_configs, **kwargs) -> list[Warning]:
    return [
        Warning(
            f"{name} is not a variable of this server and has no effect.",
            hint=f"Did you mean {similar}?" if similar else "The README lists all variables.",
            id=UNKNOWN_VARIABLE,
        )
        for name, similar in env.unknown().items()
    ]


@register()
def check_logins(app_configs, **kwargs) -> list[Error]:
    """Return an error for each login provider with a client id and no secret."""
    return [
        Error(
            f"LLMRING_{name.upper()}_CLIENT_SECRET must be set with "
            f"LLMRING_{name.upper()}_CLIENT_ID.",
            id="llmring.E008",
        )
        for name, options in settings.OAUTH_PROVIDERS.items()
        if options["client_id"] and not options["client_secret"]
    ]


@register()
def check_metrics_path(app_configs, **kwargs) -> list[Error]:
    """Return an error if another route has the path of the metrics: they would not be served."""
    if not settings.ENABLE_METRICS:
        return []
    routes = {
        settings.METRICS_PATH: "metrics",
        f"{settings.METRICS_PATH}/prometheus": "metrics-prometheus",
    }
    for path, name in routes.items():
        if protocol_of(path) or resolve(path).url_name != name:
            message = (
                f"METRICS_PATH must be a path that nothing else is served at, got "
                f"{settings.METRICS_PATH!r} ({path} is taken)."
            )
            return [Error(message, id="llmring.E009")]
    return []


@register(Tags.database)
def check_database(app_configs, databases, **kwargs) -> list[Error]:
    """Return what makes this database unusable, before anything is written to it."""
    if not databases:
        return []
    with connections["default"].cursor() as cursor:
        schemas = [settings.DATABASE_SCHEMA, settings.MCP_SCHEMA]
        cursor.execute(_DATABASE_STATE, {"schema": settings.DATABASE_SCHEMA, "schemas": schemas})
        faults = _database_faults(schemas, *cursor.fetchone())
    return [
        Error(
            message if "LLMRING_" in message else f"LLMRING_DATABASE_URL: {message}",
            id=f"llmring.{id}",
        )
        for id, (is_wrong, message) in faults.items()
        if is_wrong
    ]


def _database_faults(
    schemas: list[str],
    encoding: str,
    path: str,
    is_read_only: bool,
    name: str,
    is_plain: bool,
    may_create: bool,
) -> dict[str, tuple[bool, str]]:
    """Return by the ids of the checks whether the database has a fault, and its message."""
    search_path = [schema.strip().strip('"') for schema in path.split(",")]
    return {
        "E002": (
            encoding != "UTF8",
            f"the database {name!r} must have the encoding UTF8, got {encoding}: create another "
            "with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.",
        ),
        "E003": (
            is_read_only,
            f"the database {name!r} is read-only: if it is a replica, name the primary, else turn "
            "default_transaction_read_only off.",
        ),
        "E004": (
            not is_plain,
            f"LLMRING_DATABASE_SCHEMA={settings.DATABASE_SCHEMA} is a reserved word: choose "
            "another name.",
        ),
        "E005": (
            search_path[:2] != schemas,
            f"the search_path must be {', '.join(schemas)}, got {path!r} (a pooler drops start-up "
            f"options): run ALTER ROLE … IN DATABASE {name} SET search_path = "
            f"{', '.join(schemas)} and reconnect the pooler.",
        ),
        "E006": (
            not may_create,
            f"the user may not create tables: run GRANT CREATE ON DATABASE {name} TO … (and on "
            f"the schemas {' and '.join(schemas)} if they exist).",
        ),
    }


def check_redis() -> list[Error]:
    """Return why the configured Redis can never work; one that is unreachable may come back."""
    if not settings.REDIS_URL:
        return []
    import redis

    connection = redis.ConnectionPool.from_url(
        settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1
    ).make_connection()
    try:
        connection.connect()
        connection.send_command("PING")
        connection.read_response()
    except redis.AuthenticationError as error:
        reason = str(error)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        is_tls = settings.REDIS_URL.startswith("rediss://")
        # A certificate that is missing or not trusted looks like a lost connection too.
        if not is_tls or not isinstance(error.__context__, (FileNotFoundError, ssl.SSLError)):
            return []
        reason = str(error)
    except (redis.RedisError, OSError, ValueError) as error:
        reason = str(error)
    else:
        return []
    finally:
        connection.disconnect()
    return [Error(f"LLMRING_REDIS_URL: {' '.join(reason.split())}", id="llmring.E007")]
