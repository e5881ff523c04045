"""Django's database sessions, with the id of the person.

Source: Django's documentation, "Extending database-backed session engines".
"""

from uuid import UUID

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore


class SessionStore(DatabaseStore):
    @classmethod
    def get_model_class(cls):
        from accounts.models.entry import BrowserSession

        return BrowserSession

    def create_model_instance(self, data):
        row = super().create_model_instance(data)
        user_id = data.get(SESSION_KEY)
        row.user_id = UUID(user_id) if user_id else None
        return row


def end_sessions(user, *, but: str | None = None) -> None:
    """Delete the person's sessions, except the one with the key `but`."""
    from accounts.models.entry import BrowserSession

    BrowserSession.objects.filter(user_id=user.pk).exclude(session_key=but).delete()
