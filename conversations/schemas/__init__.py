"""Bodies, queries and replies about conversations, by what they describe.

Source: docs/http-contract/conversations.md.
"""
