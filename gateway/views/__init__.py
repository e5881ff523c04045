"""The management API, by what it manages.

Source: docs/gateway.md, section "Management API".
"""
