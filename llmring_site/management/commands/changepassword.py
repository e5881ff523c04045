import getpass

from django.contrib.auth.management.commands.changepassword import Command as DjangoCommand

from accounts import audit, mailing, sessions
from accounts.models import User
from accounts.people import password_changes


class Command(DjangoCommand):
    """Django's command; also ends sessions and links, and tells the person by mail."""

    def handle(self, *args, **options) -> str:
        # Not in one transaction, which would be open while the operator types.
        message = super().handle(*args, **options)
        user = User.objects.get(username=options["username"] or getpass.getuser())
        sessions.end_sessions(user)
        password_changes.settle(user, audit.of_command("changepassword"), action="password.set")
        mailing.wait_until_sent()  # the sending thread ends with the command
        return message
