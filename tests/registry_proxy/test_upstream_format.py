import hashlib

import pytest

from registry_proxy import upstream_format
from registry_proxy.upstream_format import MalformedDocument


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"models": []}',
        b'{"models": null}',
        b'{"models": {"a:b": {"x": NaN}}}',
        b'{"models": {"a:b": {"x": "\\u0000"}}}',
        b'{"models": {"a:b": {"x": "\\ud800"}}}',
        b'{"models": ' + b"[" * 5000,
        b"\xff",
    ],
)
def test_malformed_provider_documents_are_refused(body):
    with pytest.raises(MalformedDocument):
        upstream_format.parse_provider(body)


def test_entries_that_are_no_objects_are_left_out():
    result = upstream_format.parse_provider(b'{"models": {"a:b": {}, "a:c": 1, "": {}}}')
    assert result == {"models": {"a:b": {}}}


def test_digest_is_sha_256_of_the_canonical_form():
    """RFC 8785: members sorted, no blanks, 3.0 written as 3."""
    canonical = b'{"acme":{"models":{},"version":3},"zeta":{}}'
    result = upstream_format.digest({"zeta": {}, "acme": {"version": 3.0, "models": {}}})
    assert result == hashlib.sha256(canonical).hexdigest()


def test_big_integers_have_a_digest():
    assert upstream_format.digest({"a": {"version": 2**60}}) != upstream_format.digest(
        {"a": {"version": 2**60 + 1}}
    )


@pytest.mark.parametrize(
    "manifest, version",
    [
        ({"version": "2025-08-20"}, "2025-08-20"),
        ({"version": 3, "schema_version": "3.5"}, "3.5"),
        ({"updated_at": "2025-08-20T00:00:00Z"}, "2025-08-20"),
        ({"version": "x" * 65}, ""),
        ({"version": "a b"}, ""),
        ({}, ""),
    ],
)
def test_manifest_version(manifest, version):
    assert upstream_format.manifest_version(manifest) == version


@pytest.mark.parametrize("name", ["../x", "a/b", "", "A", "x" * 51, "v?", "."])
def test_manifest_cannot_lead_to_other_addresses(name):
    assert upstream_format.listed_providers({"providers": {name: {}, "acme": {}}}) == ["acme"]


@pytest.mark.parametrize("body", [b'{"providers": []}', b"[]"])
def test_malformed_manifests_are_refused(body):
    with pytest.raises(MalformedDocument):
        upstream_format.parse_manifest(body)


def test_too_many_providers_are_refused():
    listed = ",".join(f'"p{number}": {{}}' for number in range(65))
    with pytest.raises(MalformedDocument, match="65 providers"):
        upstream_format.parse_manifest(b'{"providers": {' + listed.encode() + b"}}")


@pytest.mark.parametrize(
    "version, count", [(3, 3), (0, 0), (-1, 0), ("3", 0), (True, 0), (None, 0)]
)
def test_archive_count(version, count):
    assert upstream_format.archive_count({"version": version}) == count
