"""What the examples of the OpenAPI document have in common."""

ID = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
TIME = "2026-02-01T10:00:00Z"
