"""The final row of a call: written once, whatever ends the call, and reported after it."""

import asyncio
from functools import partial

from gateway import background, metering, reporting
from gateway.metered_calls import MeteredCall, Outcome
from gateway.request.plan import Plan
from usage.ledger import LogRow


class Settlement:
    """Writes the final row of a call, the first time; `call` is None for one that is free."""

    def __init__(self, call: MeteredCall | None, plan: Plan, request_id: str) -> None:
        self._call = call
        self._plan = plan
        self._request_id = request_id
        self._is_written = False
        self._row: LogRow | None = None

    async def write(self, outcome: Outcome) -> None:
        """Store the outcome durably, as soon as the database is available.

        It is stored as well where the caller is cancelled meanwhile, as when the server ends.
        """
        if self._call is None or self._is_written:
            return
        self._is_written = True
        fields = self._plan.content.fields
        if not self._plan.model and fields is not None and (model := fields.last("model")):
            # Read while the form passed, as it is.
            self._call.model = self._call.requested_model = model[:255]
        try:
            await self._store(self._call, outcome)
        except asyncio.CancelledError:
            # Perhaps before the row was under way. Written twice, it is one row.
            await asyncio.shield(self._store(self._call, outcome))
            raise

    async def _store(self, call: MeteredCall, outcome: Outcome) -> None:
        try:
            self._row = await metering.settle(call, outcome)
        except metering.WRITE_ERRORS:
            # The client gets what was paid for; its row is written when that is possible.
            metering.retry_later(partial(self._settle_later, call, outcome))

    async def leave_in_background(self, response_id: str) -> None:
        """Leave the call to the poll that will show its usage."""
        if self._call is not None:
            self._is_written = True
            await background.keep(self._call, response_id)

    def report(self) -> None:
        """Count the call, and write its line, if it was settled: what no client waits for."""
        if self._row is not None:
            reporting.settled(self._row, self._request_id)

    async def _settle_later(self, call: MeteredCall, outcome: Outcome) -> None:
        reporting.settled(await metering.settle(call, outcome), self._request_id)
