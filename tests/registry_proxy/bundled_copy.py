"""The registry that ships with the server, in a process that cannot reach upstream.

To read, check and store it takes longer than most stories that need its prices. One test
of each worker does; the others get the rows and the parsed copy that it came to.
"""

from unittest.mock import patch

from django.db import connection
from django.utils import timezone

from registry_proxy import custom_prices, pricing, snapshots
from registry_proxy.current_registry import current
from registry_proxy.models import RegistryFile, Snapshot, SnapshotFile
from registry_proxy.snapshots import LoadedSnapshot, take_bundled

_TABLES = [model._meta.db_table for model in (Snapshot, RegistryFile, SnapshotFile)]
_loaded: LoadedSnapshot | None = None


def hold() -> None:
    """Do what `pricing.load()` would, where no snapshot is stored yet."""
    global _loaded
    if _loaded is None:
        take_bundled(now=timezone.now())
        current.follow()
        pricing.load()
        _loaded = current.get()
        _execute(
            "DROP TABLE IF EXISTS public.copy_of_{0}; "
            "CREATE UNLOGGED TABLE public.copy_of_{0} AS TABLE {0}"
        )
        return
    # Their ids are in the past of the sequences, which never give them again.
    _execute("INSERT INTO {0} TABLE public.copy_of_{0}")
    with patch.object(snapshots, "load", lambda id: _loaded):
        current.follow()
    custom_prices.current.follow()


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("; ".join(statement.format(table) for table in _TABLES))
