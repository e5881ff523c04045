"""Content blocks for clients of older revisions, which refuse results with newer kinds."""

# Clients of revisions before 2025-06-18 know no links, and send no header with the revision.
_WITHOUT_LINKS = ("", "2024-11-05", "2025-03-26")
# Of those that send none, some SDKs know no audio either, in 2025-03-26 too.
_WITHOUT_AUDIO = ("", "2024-11-05")


def as_known(version: str, blocks: list[dict]) -> list[dict]:
    """Return the blocks without the kinds that the revision does not have.

    A link to a resource becomes a text, audio an embedded resource of the same bytes.
    """
    if version in _WITHOUT_LINKS:
        blocks = [
            _as_text(each) if each.get("type") == "resource_link" else each for each in blocks
        ]
    if version in _WITHOUT_AUDIO:
        blocks = [
            _as_resource(each, number) if each.get("type") == "audio" else each
            for number, each in enumerate(blocks, 1)
        ]
    return blocks


def _as_text(link: dict) -> dict:
    """Return a text of the link's title or name, description and address."""
    named = (link.get(member) for member in ("title", "name"))
    name = next((each for each in named if isinstance(each, str) and each), "")
    parts = (name, link.get("description"), link.get("uri"))
    text = "\n".join(part for part in parts if isinstance(part, str) and part)
    return {"type": "text", "text": text, **_common(link)}


def _as_resource(audio: dict, number: int) -> dict:
    """Return an embedded resource; its address says that it is a part of the message (RFC 2392)."""
    resource = {"uri": f"cid:audio-{number}", "blob": audio.get("data")}
    if isinstance(audio.get("mimeType"), str):
        resource["mimeType"] = audio["mimeType"]
    return {"type": "resource", "resource": resource, **_common(audio)}


def _common(block: dict) -> dict:
    """Return the members that blocks of all kinds have."""
    return {member: block[member] for member in ("annotations", "_meta") if member in block}
