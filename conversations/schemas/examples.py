"""What the examples of the OpenAPI document show."""

ID = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
MESSAGE_ID = "0193b1a2-7c40-7b1c-9d2e-3f4a5b6c7d8e"
AT = "2026-01-02T03:04:05.678901Z"
BODY = {
    "title": "A parser",
    "system_prompt": "You are a careful engineer.",
    "model_alias": "deep",
    "temperature": 0.2,
    "project_id": "compiler",
}
REPLY = {
    **BODY,
    "id": ID,
    "max_tokens": None,
    "api_key_id": "0193b1a2-0000-7000-8000-000000000001",
    "origin": None,
    "profile": None,
    "template_id": None,
    "message_count": 1,
    "total_input_tokens": 9,
    "total_output_tokens": 0,
    "total_cost": 0.00001,
    "created_at": AT,
    "updated_at": AT,
    "last_message_at": AT,
}
MESSAGE_BODY = {
    "role": "user",
    "content": "What is a grammar?",
    "input_tokens": 9,
    "metadata": {"cost": 0.00001},
}
MESSAGE_REPLY = {
    **MESSAGE_BODY,
    "id": MESSAGE_ID,
    "conversation_id": ID,
    "parent_id": None,
    "message_id": None,
    "name": None,
    "content_hash": "7d0a1ef2f5a53ef8e3d2dfb0ae5b1b6d6cfb6f0d5a2c1b3e4f5a6b7c8d9e0f1a",
    "tool_calls": None,
    "tool_call_id": None,
    "tool_results": None,
    "output_tokens": None,
    "token_count": 9,
    "receipt_id": None,
    "timestamp": AT,
}
