"""What `llmring-db` reports about the database."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from django.conf import settings

_PASSWORDS = ("password", "sslpassword")


def address(*, with_password: bool = False) -> str:
    """Return the database's address for `psql`, with the search path of our schemas."""
    target = settings.DATABASES["default"]
    if settings.DATABASE_URL:
        parts = urlsplit(settings.DATABASE_URL)
        location = parts.netloc if with_password else _without_password(parts.netloc)
        query = {
            name: value
            for name, value in parse_qsl(parts.query.replace("+", "%2B"))  # libpq has no blanks
            if with_password or name not in _PASSWORDS
        }
    else:
        location, query = f"{target['USER']}@", {"host": target["HOST"]}
    query["options"] = target["OPTIONS"]["options"]
    path = quote(target["NAME"])
    return f"postgresql://{location}/{path}?{urlencode(query, quote_via=quote, safe='/,')}"


def _without_password(location: str) -> str:
    user, at, host = location.rpartition("@")
    return user.partition(":")[0] + at + host


def print_status() -> bool:
    """Print the database's address, version and migrations; return whether all are applied."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()[0]
    print(f"database    {address()}")
    print(f"kind        {'LLMRING_DATABASE_URL' if settings.DATABASE_URL else 'embedded'}")
    print(f"postgresql  {version}")
    print(f"schemas     {settings.DATABASE_SCHEMA}, {settings.MCP_SCHEMA}")
    print(f"migrations  {len(executor.loader.applied_migrations)} applied, {len(pending)} pending")
    for migration, _ in pending:
        print(f"            {migration.app_label}.{migration.name}")
    return not pending
