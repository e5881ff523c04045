"""Content blocks for clients of older revisions, which refuse a whole result for a new kind."""

# Clients of revisions before 2025-06-18 know no links, and send no header with the revision.
_WITHOUT_LINKS = ("", "2024-11-05", "2025-03-26")


def as_known(version: str, blocks: list[dict]) -> list[dict]:
    """Return the blocks with links to resources as texts where the revision has none."""
    if version not in _WITHOUT_LINKS:
        return blocks
    return [_as_text(each) if each.get("type") == "resource_link" else each for each in blocks]


def _as_text(link: dict) -> dict:
    """Return a text of the link's title or name, description and address."""
    named = (link.get(member) for member in ("title", "name"))
    name = next((each for each in named if isinstance(each, str) and each), "")
    parts = (name, link.get("description"), link.get("uri"))
    text = "\n".join(part for part in parts if isinstance(part, str) and part)
    kept = {member: link[member] for member in ("annotations", "_meta") if member in link}
    return {"type": "text", "text": text, **kept}
