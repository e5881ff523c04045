"""What the examples of the management API have in common."""

ID = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
TOKEN_ID = "0193b1a2-9d21-7a10-b2c4-0f1e2d3c4b5a"
TIME = "2026-01-02T03:04:05.678901Z"
