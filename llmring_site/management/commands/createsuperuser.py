from django.contrib.auth.management.commands.createsuperuser import Command as DjangoCommand

from accounts import audit
from accounts.models import User


class Command(DjangoCommand):
    """Django's command; also records the superuser in the audit log."""

    def handle(self, *args, **options) -> None:
        # Django's command returns nothing, and may ask for the name itself.
        before = set(User.objects.values_list("pk", flat=True))
        super().handle(*args, **options)
        origin = audit.of_command("createsuperuser")
        for user in User.objects.filter(is_superuser=True).exclude(pk__in=before):
            new = {"is_superuser": True, "username": user.username, "email": user.email}
            audit.record("person.create", origin, user_id=user.pk, new=new)
