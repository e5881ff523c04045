"""Addresses of the list of logs, filtered: what a bar, a row or a figure stands for."""

from collections.abc import Sequence
from datetime import date, timedelta
from urllib.parse import urlencode

from usage.filters import NONE
from usage.models import EntryType

MAX_NAMES = 50  # of one label in an address


class LogLinks:
    """Builds addresses below `path` for a window of whole days (UTC).

    `always` are parameters of every address, such as the project's. A label is one name,
    "" for logs without any, or a list of names.
    """

    def __init__(self, path: str, first: date, last: date, always: dict[str, str]) -> None:
        self._path, self._first, self._last, self._always = path, first, last, always

    def window(self, **labels: str | Sequence[str]) -> str | None:
        """Return the address of the window's logs with these labels; None if it has none."""
        return self._address(self._first, self._last, labels)

    def day(self, day: date, **labels: str | Sequence[str]) -> str | None:
        """Return the address of one day's logs with these labels; None if it has none."""
        return self._address(day, day, labels)

    def calls(self, status: str) -> str:
        """Return the address of the window's calls whose usage has this status."""
        parameters = {"usage_status__exact": status, "entry_type__exact": EntryType.CALL.value}
        return self._join(self._first, self._last, parameters)

    def _address(self, first: date, last: date, labels: dict) -> str | None:
        parameters = {}
        for label, wanted in labels.items():
            if isinstance(wanted, str):
                lookup = (f"{label}__exact", wanted) if wanted else (f"{label}__isnull", "True")
            elif len(wanted) > MAX_NAMES or any("," in name for name in wanted):
                return None  # the list's parameter separates names by commas
            else:
                lookup = (f"{label}__in", ",".join(wanted))
            parameters[lookup[0]] = lookup[1]
        return self._join(first, last, parameters)

    def _join(self, first: date, last: date, parameters: dict[str, str]) -> str:
        window = {
            "created_at__gte": first.isoformat(),
            "created_at__lt": (last + timedelta(days=1)).isoformat(),
        }
        return f"{self._path}?{urlencode({**window, **self._always, **parameters})}"


class QueryLinks(LogLinks):
    """The same in the parameters of `GET /logs`, for pages that take these."""

    def calls(self, status: str) -> str:
        return self._join(self._first, self._last, {"usage_status": status})

    def _address(self, first: date, last: date, labels: dict) -> str | None:
        parameters = {
            label: (wanted or NONE) if isinstance(wanted, str) else [*wanted]
            for label, wanted in labels.items()
        }
        if any(len(names) > MAX_NAMES for names in parameters.values() if isinstance(names, list)):
            return None
        return self._join(first, last, parameters)

    def _join(self, first: date, last: date, parameters: dict) -> str:
        window = {"start_date": first.isoformat(), "end_date": last.isoformat()}
        query = {**window, **self._always, **parameters}
        return f"{self._path}?{urlencode(query, doseq=True)}"
