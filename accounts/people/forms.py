"""Forms of people's pages, with the admin's widgets. Other modules have the rules."""

from django import forms
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextInputWidget,
)

from accounts import passwords
from accounts.people import email_addresses
from core.errors import DomainError


def _password(label: str, autocomplete: str, **options) -> forms.CharField:
    widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, strip=False, widget=widget, **options)


class EmailField(forms.CharField):
    """An address that `email_addresses.is_address` accepts."""

    def __init__(self, **options) -> None:
        widget = UnfoldAdminEmailInputWidget(attrs={"autocomplete": "email", "autofocus": True})
        super().__init__(label="E-mail address", max_length=300, widget=widget, **options)

    def clean(self, value):
        address = super().clean(value)
        if address and not email_addresses.is_address(address):
            raise ValidationError("Enter an e-mail address of ASCII characters.")
        return address


class AdminLoginForm(AuthenticationForm):
    """The admin's login form, with the limits of attempts that the API and the pages have."""

    def clean(self):
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if name and password:
            try:
                self.user_cache = passwords.check(self.request, name, password)
            except passwords.WrongPassword:
                raise self.get_invalid_login_error() from None
            except DomainError as error:
                self.request.refusal = error  # the page has its status (accounts/admin/entry.py)
                raise ValidationError(str(error)) from None
            self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data


class LoginForm(forms.Form):
    name = forms.CharField(
        label="E-mail address",
        max_length=300,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "username", "autofocus": True}),
    )
    password = _password("Password", "current-password", max_length=1_000)


class SignUpForm(forms.Form):
    email = EmailField()
    password = _password("Password", "new-password", max_length=1_000)
    organization = forms.CharField(
        label="Organization",
        required=False,
        max_length=255,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "organization"}),
        help_text="Names your first project.",
    )


class AddressForm(forms.Form):
    email = EmailField()


class TokenForm(forms.Form):
    """For pages of mailed links. A script copies the token from the URL's fragment to the field."""

    token = forms.CharField(
        label="The text behind token= in the link",
        max_length=500,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


class NewPasswordForm(forms.Form):
    password = _password("New password", "new-password", max_length=1_000)


class ResetForm(NewPasswordForm, TokenForm):
    """The token, then the new password: fields of later bases come first."""


class CurrentPasswordForm(forms.Form):
    current_password = _password("Current password", "current-password", max_length=1_000)


class EmailChangeForm(CurrentPasswordForm, AddressForm):
    """The new address, then the current password."""


class PasswordChangeForm(NewPasswordForm, CurrentPasswordForm):
    """The current password, then the new one."""


class VerifyForm(TokenForm):
    password = _password(
        "Password",
        "current-password",
        max_length=1_000,
        required=False,
        help_text="Not needed if the account has none, or if you are logged in to it.",
    )


class InvitationForm(TokenForm):
    password = _password(
        "Choose a password",
        "new-password",
        max_length=1_000,
        required=False,
        help_text="If you have no account yet. Else log in first, and leave this empty.",
    )


class ConfirmForm(forms.Form):
    """A form without fields."""
