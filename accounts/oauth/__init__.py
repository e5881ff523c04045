"""Logins by a provider: OAuth 2.0 with a code, state and PKCE.

    states       a login between its start and its return, in a signed cookie
    providers    what the provider's addresses answer
    identities   whose account an identity opens
    pending      a new identity whose person proves an address by mail
    landing      where the browser goes afterwards
    views        the routes

By hand, because the usual library (django-allauth) keeps states in sessions, which are rows
here, so that anybody could fill the database by starting logins; see docs/decisions.md.
"""
