"""The user model."""

from django.contrib.auth import hashers
from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Value
from django.db.models.functions import Collate, Lower, NullIf

from accounts.people import email_addresses
from core.ids import uuid7


class Users(UserManager):
    use_in_migrations = False

    def with_email(self, address: str) -> "User | None":
        """Return the person with this address, in any case of its ASCII letters."""
        return self.filter(email_key=email_addresses.key(address)).first() if address else None

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Return the address without surrounding blanks, otherwise as it is. None is ""."""
        return (email or "").strip()

    def create_superuser(self, username, email=None, password=None, **columns) -> "User":
        """Create a superuser. Raises ValidationError for a name or address that is taken."""
        self.model(username=username, email=email or "").clean()
        return super().create_superuser(username, email, password, **columns)


class User(AbstractUser):
    """A person. Staff see all projects, others those of their memberships."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Computed by the database, so that no program can store two spellings of one address.
    email_key = models.GeneratedField(
        expression=NullIf(Lower(Collate("email", "C")), Value("")),
        output_field=models.CharField(max_length=254, null=True),
        db_persist=True,
    )
    email_verified_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the person proved the address."
    )
    key_claim_until = models.DateTimeField(
        null=True, editable=False, help_text="Until then a first key can be retrieved, once."
    )

    objects = Users()

    class Meta:
        db_table = "users"
        ordering = ["username"]
        constraints = [
            models.UniqueConstraint(
                fields=["email_key"],
                name="users_email_once",
                violation_error_message="Another person has this e-mail address.",
            )
        ]

    def __str__(self) -> str:
        return self.email or self.username

    def clean(self) -> None:
        """Refuse a user name or address that somebody else has as either: both log in."""
        super().clean()
        others = User.objects.exclude(pk=self.pk)
        if self.email and others.filter(email_key=email_addresses.key(self.email)).exists():
            raise ValidationError({"email": "Another person has this e-mail address."})
        if others.filter(email_key=email_addresses.key(self.username)).exists():
            raise ValidationError("Another person has this user name as their e-mail address.")
        if self.email and others.filter(username__iexact=self.email).exists():
            raise ValidationError("Another person has this e-mail address as their user name.")

    def check_password(self, raw_password: str) -> bool:
        """Return whether the password is right. A hash of former settings is upgraded.

        Django's own method would overwrite a password that was set meanwhile: a login could undo
        a concurrent reset.
        """
        former = self.password
        is_right = hashers.check_password(raw_password, former, self.set_password)
        self._password = None  # `set_password` keeps the text here, for `save`
        if self.password == former:
            return is_right
        rows = User.objects.filter(pk=self.pk)
        if rows.filter(password=former).update(password=self.password):
            return is_right
        # Another login has upgraded the hash, or the password was changed.
        self.password = rows.values_list("password", flat=True).first() or former
        return self.password != former and hashers.check_password(raw_password, self.password)

    def get_full_name(self) -> str:
        """Return the person's name, or else their address or user name."""
        return super().get_full_name() or str(self)
