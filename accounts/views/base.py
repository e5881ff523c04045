"""Base classes of the routes for people."""

from accounts import attempts, audit, csrf, login_keys
from accounts.authentication import IsPerson, PersonAuthentication
from accounts.models import User
from accounts.projects import tier_name
from core.errors import InvalidInput
from core.views import PublicView, SchemaView

TAGS = ["accounts"]
FROM_ELSEWHERE = {403: "From a page of another site"}


class SecretBodyMixin:
    """For bodies with passwords and tokens: errors do not repeat the input."""

    tags = TAGS

    @property
    def body(self):
        try:
            return super().body
        except InvalidInput as error:
            for entry in error.issues:
                if entry["input"] != {}:  # which is the input of unreadable JSON
                    entry["input"] = None
            raise


class AnonymousView(SecretBodyMixin, PublicView):
    """A route that needs no login. `counted_as` names the attempts that an address may make."""

    counted_as = ""
    errors = {"post": FROM_ELSEWHERE}

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        csrf.check(request._request)
        # Not what is no attempt: other sites can have a browser send GET, as for a picture.
        if self.counted_as and request.method == "POST":
            attempts.take_of_address(request, self.counted_as)


class PersonView(SecretBodyMixin, SchemaView):
    """A route for logged-in people."""

    authentication_classes = [PersonAuthentication]
    permission_classes = [IsPerson]


def home_key_reply(user: User, origin: audit.Origin, *, name: str) -> dict:
    """Issue a login key of the person's home project; return the reply that contains it.

    Without a project its members are null. Raises SessionEnded.
    """
    project, text = login_keys.issue_home_key(user, origin, name=name)
    return {
        "api_key": text,
        "api_key_active": True,
        "tier": tier_name(project),
        "project_id": project and project.id,
    }
