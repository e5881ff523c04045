"""The first admin and API key, created and printed once by a server that has none."""

import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from accounts import audit, keys
from accounts.models import ApiKey, Project

_ORIGIN = audit.of_command("llmring-server")


@transaction.atomic
def create() -> None:
    """Create what is missing and print it. Committed last, so that nothing unprinted exists."""
    _create_admin()
    _create_key()


def _create_admin() -> None:
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return
    if users.exists():
        print(
            "\n  Admin     there is no superuser: create one with `manage.py createsuperuser`",
            flush=True,
        )
        return
    password = settings.ADMIN_PASSWORD or secrets.token_urlsafe(12)
    user = users.create_superuser(settings.ADMIN_USER, password=password)
    audit.record("person.create", _ORIGIN, user_id=user.pk, new={"is_superuser": True})
    printed = "(the one you set)" if settings.ADMIN_PASSWORD else password
    print(
        f"\n  Admin     {settings.PUBLIC_URL}/admin/  "
        f"user {settings.ADMIN_USER}, password {printed}",
        flush=True,
    )


def _create_key() -> None:
    if ApiKey.objects.exists():
        return
    project = Project.objects.create(name="default")
    audit.record("project.create", _ORIGIN, project_id=project.id, name=project.name)
    _, key = keys.issue_key(project, _ORIGIN, name="made at first start")
    print(
        f"  API key   {key}\n\n  Secrets are shown only once. Try:\n\n{_first_call(key)}\n",
        flush=True,
    )


def _first_call(key: str) -> str:
    body = '{"provider":"openai","model":"gpt-4o-mini","input_tokens":1000,"output_tokens":200}'
    return (
        f"  curl -s {settings.PUBLIC_URL}/api/v1/log -H 'X-API-Key: {key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )
