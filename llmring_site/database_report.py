"""What `llmring-db` tells of the database."""

from urllib.parse import quote, urlencode

from django.conf import settings


def address() -> str:
    """The database's address for `psql`, without the password."""
    target = settings.DATABASES["default"]
    user, host = target.get("USER", ""), target.get("HOST", "")
    port = f":{target['PORT']}" if target.get("PORT") else ""
    name = quote(target["NAME"])
    if host.startswith("/"):  # the directory of a socket
        return f"postgresql://{user}@/{name}?{urlencode({'host': host})}"
    return f"postgresql://{user}@{host}{port}/{name}"


def print_status() -> bool:
    """Print where the database is, its version, and its migrations; whether all are applied."""
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
