"""Long lists of numbers, such as embeddings: nothing is read from them.

A JSON reader makes an object of each number, which for ten megabytes takes up to 90 ms, in which
no other thread runs.
"""

_NUMBERS = b"0123456789+-.eE, \t\r\n"
_LONG = 256  # bytes


def emptied(data: bytes) -> bytes:
    """Return a JSON text with its long lists of numbers empty, also those within strings.

    One with many short lists stays as it is: to look at each would take longer than to read them.
    """
    if data.count(b"]") * _LONG > len(data):
        return data
    parts = []
    kept = position = 0
    while (end := data.find(b"]", position)) >= 0:
        start = data.rfind(b"[", position, end) + 1
        if start and end - start > _LONG and not data[start:end].translate(None, _NUMBERS):
            parts.append(data[kept:start])
            kept = end
        position = end + 1
    parts.append(data[kept:])
    return b"".join(parts)
