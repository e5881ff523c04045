"""Bodies and replies of the routes of people, their projects and keys.

Source: docs/http-contract/accounts.md.
"""
