"""People in the admin, logged in."""

from django.contrib.auth.models import Permission

from accounts.models import User
from tests.client import ApiClient


def superuser() -> ApiClient:
    return _browser(User.objects.create_superuser("root", password="x"))


def staff(*permissions: str) -> ApiClient:
    """Staff with these permissions and no others, by their code names."""
    user = User.objects.create_user("staff", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return _browser(user)


def _browser(user: User) -> ApiClient:
    client = ApiClient()
    client.force_login(user)
    return client
