"""Bodies, queries and replies of the management API, by what they describe.

Source: docs/gateway.md, section "Management API".
"""
