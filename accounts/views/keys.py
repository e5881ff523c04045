"""The routes of a project's keys, for people in it and for keys of scope `all`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from rest_framework.decorators import action
from rest_framework.response import Response

from accounts import admission, audit, keys
from accounts.models import ApiKey
from accounts.permissions import Action
from accounts.schemas import keys as schemas
from accounts.schemas.examples import TIME
from core import json_writer
from core.idempotency import checked_idempotency_key, idempotency_header
from core.viewsets import ScopedModelViewSet

# Returns the cost of each key of a project since a day, by the key's id as text.
Costs = Callable[[UUID, datetime], dict[str, Decimal]]


class KeyViewSet(ScopedModelViewSet):
    queryset = ApiKey.objects.select_related("use").order_by("-id")
    costs_of_keys: Costs | None = None  # bound in the URL map: a higher layer knows costs
    tags = ["keys"]
    lookup_url_kwarg = "key_id"
    not_found = "Key not found"
    reply = schemas.KeyReply
    access = dict.fromkeys(
        ("list", "retrieve", "create", "partial_update", "rotate", "revoke"), Action.MANAGE_KEYS
    )
    bodies = {
        "create": schemas.NewKey,
        "partial_update": schemas.KeyChanges,
        "rotate": schemas.Rotation,
    }
    queries = {"list": schemas.KeysQuery}
    replies = {"create": schemas.IssuedKey, "rotate": schemas.IssuedKey}
    headers = {"rotate": [idempotency_header("Used again, it gets 409.")]}
    reply_examples = {
        "rotate": {"previous_expires_at": "2026-02-02T10:00:00Z"},
        "revoke": {"state": "revoked", "revoked_at": TIME},
    }

    def list(self, request):
        """List the project's keys, newest first, revoked ones included"""
        page = self.paginate_queryset(self.get_queryset())
        return Response(self._represent(page))

    def retrieve(self, request, key_id):
        """Get one key"""
        return Response(self._represent([self.get_object()])[0])

    def create(self, request):
        """Create a key

        Its text is in the reply, and nowhere else. A key makes no key with more scopes or a
        longer life than its own.
        """
        body = self.body
        address = request.META.get("REMOTE_ADDR", "")
        # Creates the project of an unknown key.
        caller = admission.admit(request.auth, Action.WRITE, address)
        grant = keys.Grant(body.name, _unique(body.scopes), body.expires_at)
        return self._issued(*keys.create_key(caller, grant, audit.of_request(request)))

    def partial_update(self, request, key_id):
        """Change a key's name, scopes or end"""
        key = self.get_object()
        changes = {
            name: value
            for name, value in self.body.sent().items()
            if value is not None or name == "expires_at"
        }
        if "scopes" in changes:
            changes["scopes"] = _unique(changes["scopes"])
        keys.change_key(request.auth, key, changes, audit.of_request(request))
        return Response(self._represent([self.get_object()])[0])

    @action(detail=True, methods=["post"])
    def rotate(self, request, key_id):
        """Give a key a new value

        The old value works for `overlap_seconds` more, and no longer than it would have. The
        key stays one key: one id, one sum of costs, one limit. A repeated `Idempotency-Key`
        is 409, since the new value is not kept.
        """
        idempotency_key = checked_idempotency_key(request.headers.get("Idempotency-Key"))
        row, text = keys.rotate_key(
            request.auth,
            self.get_object(),
            audit.of_request(request),
            overlap=timedelta(seconds=self.body.overlap_seconds),
            expires_at=self.body.expires_at,
            idempotency_key=idempotency_key,
        )
        return self._issued(row, text)

    @action(detail=True, methods=["post"])
    def revoke(self, request, key_id):
        """Revoke a key, with both of its values, for good"""
        key = self.get_object()
        rows = ApiKey.objects.filter(id=key.id)
        keys.revoke_keys(rows, audit.of_request(request), reason="by request")
        return Response(self._represent([self.get_object()])[0])

    def _issued(self, row: ApiKey, text: str) -> Response:
        return Response({**self._represent([row])[0], "api_key": text})

    def _represent(self, rows: Sequence[ApiKey]) -> Sequence[dict]:
        return represent(rows, self.costs_of_keys)


def represent(rows: Sequence[ApiKey], costs_of_keys: Costs | None) -> list[dict]:
    """Return the representation of keys of one project."""
    if not rows:
        return []
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    costs = costs_of_keys(rows[0].project_id, month) if costs_of_keys else {}
    return [_key_reply(row, costs.get(str(row.id), Decimal(0))) for row in rows]


def _key_reply(row: ApiKey, cost: Decimal) -> dict:
    use = getattr(row, "use", None)
    return {
        "id": row.id,
        "name": row.name,
        "hint": row.hint,
        "state": row.state,
        "scopes": row.scopes,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "previous_expires_at": row.overlap_ends_at,
        "last_used_at": use and use.last_used_at,
        "cost_this_month": json_writer.plain(cost),
    }


def _unique(scopes: list[str] | None) -> list[str] | None:
    return scopes and list(dict.fromkeys(scopes))
