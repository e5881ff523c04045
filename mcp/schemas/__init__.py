"""Bodies, queries and replies of the MCP routes, by what they describe.

Source: docs/http-contract/mcp.md.
"""
