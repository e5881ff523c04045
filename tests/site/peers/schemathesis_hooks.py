"""What Schemathesis does not know by itself. Runs in its environment, not in ours."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(context, value):
    lines = value if isinstance(value, list) else [value]
    return b"\n".join(json.dumps(line).encode() for line in lines)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Have lines of JSON made from what the document says of a line, not from any text."""
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            content = operation.get("requestBody", {}).get("content", {})
            media = content.get("application/x-ndjson")
            if media and "contentSchema" in media["schema"]:
                media["schema"] = media["schema"]["contentSchema"]
