"""A validator of new passwords, beside Django's."""

from django.core.exceptions import ValidationError

from accounts import passwords


class MaximumLengthValidator:
    """Refuses passwords that are longer than what a login compares."""

    def validate(self, password: str, user=None) -> None:
        if len(password) > passwords.MAX_LENGTH:
            raise ValidationError(f"The password is longer than {passwords.MAX_LENGTH} characters.")

    def get_help_text(self) -> str:
        return f"Your password can have {passwords.MAX_LENGTH} characters at most."
