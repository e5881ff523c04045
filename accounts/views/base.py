"""What the routes of people have in common."""

from accounts import attempts, audit, csrf, login_keys
from accounts.authentication import IsPerson, PersonAuthentication
from accounts.models import User
from accounts.projects import tier_name
from core.errors import InvalidInput
from core.views import PublicView, SchemaView

TAGS = ["accounts"]
FROM_ELSEWHERE = {403: "From a page of another site"}


class SecretBodyMixin:
    """Bodies hold passwords and tokens: errors do not repeat what was sent."""

    tags = TAGS

    @property
    def body(self):
        try:
            return super().body
        except InvalidInput as error:
            for entry in error.issues:
                if entry["input"] != {}:  # that of JSON that cannot be read
                    entry["input"] = None
            raise


class AnonymousView(SecretBodyMixin, PublicView):
    """A route that needs no login, counted by the caller's address."""

    counted_as = ""
    errors = {"post": FROM_ELSEWHERE}

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        csrf.check(request._request)
        if self.counted_as:
            attempts.take_of_address(request, self.counted_as)


class PersonView(SecretBodyMixin, SchemaView):
    """A route for people who are logged in."""

    authentication_classes = [PersonAuthentication]
    permission_classes = [IsPerson]


def home_key_reply(user: User, origin: audit.Origin, *, name: str) -> dict:
    """Make a key of a person's home project; return the reply that shows it.

    Without any project its members are null. Raises SessionEnded.
    """
    project, text = login_keys.issue_home_key(user, origin, name=name)
    return {
        "api_key": text,
        "api_key_active": True,
        "tier": tier_name(project),
        "project_id": project and project.id,
    }
