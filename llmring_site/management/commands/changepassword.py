import getpass

from django.contrib.auth.management.commands.changepassword import Command as DjangoCommand

from accounts import audit, mailing, sessions
from accounts.models import User
from accounts.people import password_changes


class Command(DjangoCommand):
    """Django's own, with what every new password brings with it."""

    def handle(self, *args, **options) -> str:
        # Not in one transaction: it would stay open while someone types.
        message = super().handle(*args, **options)
        user = User.objects.get(username=options["username"] or getpass.getuser())
        sessions.end_sessions(user)
        password_changes.settle(user, audit.of_command("changepassword"), action="password.set")
        mailing.wait_until_sent()  # by a thread, which ends with the command
        return message
