"""Logins with a provider: OAuth 2.0 with authorization code, state and PKCE.

    states       the state of a login, kept in a signed cookie until the browser returns
    providers    the calls of the provider's routes
    identities   which account an identity logs in to
    pending      a new identity whose person has to prove an address by mail
    landing      the page to which the browser is redirected afterwards
    views        the routes

Not by the usual library (django-allauth), which keeps states in sessions. Those are rows here,
so that anybody could fill the database by starting logins; see docs/decisions.md.
"""
