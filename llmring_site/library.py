"""Library mode: the server as an ASGI application inside another one.

    app = FastAPI()
    app.mount("/llmring", create_app(db_manager=url, standalone=False))

Settings are read once in a process, so a process has one server: a second
`create_app` returns the same one, or is refused when it wants other settings.
"""

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict

from llmring_site import env, startup

_PREFIX = "LLMRING_"
_META_ROUTES = ("", "/health")
# Attributes of pools, engines and database managers: their address, or an object that has it.
_ADDRESS_NAMES = ("conninfo", "dsn", "connection_string", "url", "get_dsn")
_OWNER_NAMES = ("config", "engine", "pool", "_pool")

_variables: dict[str, str] | None = None  # of the first call


def create_app(
    db_manager: Any = None,
    run_migrations: bool = True,
    schema: str | None = None,
    settings: Any = None,
    standalone: bool = True,
    include_meta_routes: bool = True,
):
    """Return the ASGI application, to be served or mounted at any path.

    `db_manager` is a PostgreSQL address, or a pool, engine or manager whose address is
    read; without it the settings say which database. `settings` is a mapping of our
    variables, or an object with attributes such as `cors_origins`. `standalone=False`
    leaves logging to the host and creates no admin and no key. Migrations are
    complete on return. Without meta routes `/` and `/health` are left to the host.

    Raises ValueError for arguments that contradict each other or an earlier call, and
    ImproperlyConfigured or StartupError for settings and a database that cannot be used.
    """
    if not standalone and db_manager is None:
        raise ValueError("create_app(standalone=False) needs a db_manager")
    _set_variables(_variables_of(db_manager, schema, settings))
    _set_up(keep_logging=not standalone)
    if run_migrations:
        # In a thread: Django refuses to use its database where an event loop runs.
        with ThreadPoolExecutor(1, "migrations") as thread:
            thread.submit(startup.prepare, with_accounts=standalone).result()
    from llmring_site.application import asgi

    return _Mounted(asgi, without=() if include_meta_routes else _META_ROUTES)


def _variables_of(db_manager: Any, schema: str | None, settings: Any) -> dict[str, str]:
    if settings is None:
        values = {}
    elif isinstance(settings, Mapping):
        values = settings
    else:
        values = settings.model_dump() if hasattr(settings, "model_dump") else vars(settings)
    variables = {}
    for name, value in values.items():
        if value is not None:
            variables[_variable(name)] = _text(value)
    if db_manager is not None:
        variables["LLMRING_DATABASE_URL"] = _address(db_manager)
    if schema is not None:
        variables["LLMRING_DATABASE_SCHEMA"] = schema
    return variables


def _variable(name: str) -> str:
    """Return the name of a setting's variable; the prefix may be left out."""
    name = name.upper()
    is_whole = name.startswith(_PREFIX) or {name, name.removesuffix("_FILE")} & env.SHARED_VARIABLES
    return name if is_whole else _PREFIX + name


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return json.dumps(list(value)) if isinstance(value, list | tuple | set) else str(value)


def _address(source: Any) -> str:
    """Return the PostgreSQL address of a pool, engine or manager. Raises ValueError."""
    if isinstance(source, str):
        return source if "://" in source else _url_of(conninfo_to_dict(source))
    if hasattr(source, "render_as_string"):  # of SQLAlchemy, whose str() hides the password
        address = source.render_as_string(hide_password=False)
        return address.replace(f"{source.drivername}://", "postgresql://", 1)
    if arguments := getattr(source, "_connect_args", None):  # of asyncpg
        return _address(arguments[0])
    for name in (*_ADDRESS_NAMES, *_OWNER_NAMES):
        value = getattr(source, name, None)
        if callable(value) and name.startswith("get_"):
            value = value()
        if value is not None:
            return _address(value)
    raise ValueError(f"no PostgreSQL address found in a {type(source).__name__}: pass it as text")


def _url_of(parameters: dict) -> str:
    return f"postgresql:///?{urlencode(parameters, quote_via=quote)}"


def _set_variables(variables: dict[str, str]) -> None:
    global _variables
    if _variables is not None and variables != _variables:
        names = {name for name, _ in variables.items() ^ _variables.items()}
        raise ValueError(
            f"a process has one server, and an earlier create_app set other values of "
            f"{', '.join(sorted(names))}"
        )
    os.environ.update(variables)
    _variables = variables


def _set_up(*, keep_logging: bool) -> None:
    from django.apps import apps
    from django.conf import settings

    if apps.ready:
        if settings.SETTINGS_MODULE != startup.SETTINGS_MODULE:
            raise ValueError("this process runs another Django project")
        return
    startup.load(keep_logging=keep_logging)


class _Mounted:
    """The application at whatever path the host mounts it, without some of its routes."""

    def __init__(self, application, *, without: tuple[str, ...]) -> None:
        self._application = application
        self._without = without

    async def __call__(self, scope: dict, receive, send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path.rstrip("/") not in self._without:
            await self._application({**scope, "path": path or "/"}, receive, send)
            return
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"detail":"Not Found"}'})
