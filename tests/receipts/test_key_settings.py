"""Keys from the environment: pairs that do not match refuse to start; rotation keeps the old."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from receipts import keys, server_keys
from receipts.keys import SigningKey, decode
from receipts.models import Receipt, ReceiptKey
from tests.receipts import vectors

PRIVATE = "LLMRING_RECEIPTS_PRIVATE_KEY_B64"
PUBLIC = "LLMRING_RECEIPTS_PUBLIC_KEY_B64"


def rotate(settings, key=vectors.OTHER_KEY, id="k-2026"):
    settings.RECEIPTS_PRIVATE_KEY = keys.encode(key.seed)
    settings.RECEIPTS_PUBLIC_KEY = key.public.text
    settings.RECEIPTS_KEY_ID = id


@pytest.mark.parametrize(
    ("private", "public", "named"),
    [
        (vectors.SEED, vectors.OTHER_KEY.public.text, PUBLIC),
        (vectors.SEED, "AAAA", PUBLIC),
        (vectors.SEED[:-4], vectors.PUBLIC, PRIVATE),
        ("not base64!", "", PRIVATE),
        ("", "not base64!", PUBLIC),
        ("", "A" * 43, PUBLIC),
    ],
)
def test_unusable_keys_refuse_to_start_and_name_the_variable(settings, private, public, named):
    settings.RECEIPTS_PRIVATE_KEY, settings.RECEIPTS_PUBLIC_KEY = private, public
    with pytest.raises(ImproperlyConfigured, match=named) as error:
        server_keys.configured()
    assert not private or private not in str(error.value)


def test_retired_keys_that_cannot_be_used_refuse_to_start(signing):
    signing.RECEIPTS_RETIRED_KEYS = ["k-2024:AAAA"]
    with pytest.raises(ImproperlyConfigured, match="LLMRING_RECEIPTS_RETIRED_KEYS has 3 bytes"):
        server_keys.configured()
    signing.RECEIPTS_RETIRED_KEYS = [f"k-2024:{'A' * 43}"]
    with pytest.raises(ImproperlyConfigured, match="LLMRING_RECEIPTS_RETIRED_KEYS is not an Ed"):
        server_keys.configured()
    signing.RECEIPTS_RETIRED_KEYS = [f"k-2025:{vectors.OTHER_KEY.public.text}"]
    with pytest.raises(ImproperlyConfigured, match="is the current id"):
        server_keys.configured()


def test_either_key_alone_will_do(settings):
    settings.RECEIPTS_PRIVATE_KEY = vectors.SEED + "="
    assert server_keys.configured().current == SigningKey(decode(vectors.SEED)).public
    settings.RECEIPTS_PRIVATE_KEY, settings.RECEIPTS_PUBLIC_KEY = "", vectors.PUBLIC
    assert server_keys.configured().signing is None
    assert server_keys.configured().current.id == "key_b43cdfe1bf180ef4"


def test_generated_keys_sign(capsys, settings, api):
    call_command("generatereceiptkey", "--key-id", "k-new")
    lines = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    settings.RECEIPTS_PRIVATE_KEY = lines[PRIVATE]
    settings.RECEIPTS_PUBLIC_KEY = lines[PUBLIC]
    settings.RECEIPTS_KEY_ID = lines["LLMRING_RECEIPTS_KEY_ID"]
    receipt = api.send("POST", "/api/v1/receipts/issue", vectors.nested())
    assert receipt["key_id"] == "k-new"
    assert api.send("POST", "/api/v1/receipts/verify", receipt)["valid"]


def test_every_key_that_signed_stays_listed_and_verifies(api, signing):
    issued = api.send("POST", "/api/v1/receipts/issue", vectors.nested())
    flat = api.send("POST", "/api/v1/receipts/issue", vectors.flat())
    api.send("POST", "/api/v1/receipts", vectors.signed_nested())
    rotate(signing)
    newer = api.send("POST", "/api/v1/receipts/issue", vectors.nested())
    assert newer["key_id"] == "k-2026"
    server_keys.clear_cache()
    for receipt, key_id in ((issued, "k-2025"), (flat, "k-2025"), (newer, "k-2026")):
        verdict = api.send("POST", "/api/v1/receipts/verify", receipt)
        assert (verdict["valid"], verdict["key_id"]) == (True, key_id)
    assert Receipt.objects.get().is_verified
    listed = [key["kid"] for key in api.read("/receipts/public-keys.json")]
    assert listed == ["k-2026", "k-2025"]
    assert api.read("/api/v1/receipts/public-keys.json")["current_key_id"] == "k-2026"


def test_other_processes_keys_are_known_after_a_moment(api, signing):
    """Another worker, started with the next key, has signed; this one still has the old."""
    server_keys.trusted()
    key = vectors.OTHER_KEY
    receipt = vectors.nested() | {"key_id": key.id}
    receipt["signature"] = vectors.signature_of(receipt, key)
    assert not api.send("POST", "/api/v1/receipts/verify", receipt)["valid"]
    ReceiptKey.objects.create(key_id=key.id, public_key=key.public.raw)
    server_keys.clear_cache()
    assert api.send("POST", "/api/v1/receipts/verify", receipt)["valid"]


def test_retired_keys_of_the_settings_verify(api, settings):
    settings.RECEIPTS_RETIRED_KEYS = [f"k-2025:{vectors.KEY.public.text}"]
    assert api.send("POST", "/api/v1/receipts/verify", vectors.signed_nested())["valid"]
    assert [key["kid"] for key in api.read("/receipts/public-keys.json")] == ["k-2025"]
    assert api.get("/receipts/public-key.pem").status_code == 404


def test_an_id_names_one_key_for_good(api, signing):
    api.send("POST", "/api/v1/receipts/issue", vectors.nested())
    rotate(signing, id="k-2025")
    with pytest.raises(ImproperlyConfigured, match="LLMRING_RECEIPTS_KEY_ID 'k-2025' was another"):
        server_keys.register_signing_key()
    detail = api.send("POST", "/api/v1/receipts/issue", vectors.nested(), expect=400)["detail"]
    assert "give this one a new id" in detail


def test_server_may_go_back_to_an_older_key(api, signing):
    api.send("POST", "/api/v1/receipts/issue", vectors.nested())
    rotate(signing)
    api.send("POST", "/api/v1/receipts/issue", vectors.nested())
    server_keys.clear_cache()
    rotate(signing, vectors.KEY, "k-2025")
    receipt = api.send("POST", "/api/v1/receipts/issue", vectors.nested())
    assert receipt["key_id"] == "k-2025"
    assert api.send("POST", "/api/v1/receipts/verify", receipt)["valid"]
    assert [row.key_id for row in ReceiptKey.objects.all()] == ["k-2026", "k-2025"]


def test_a_key_may_get_another_id(api, signing):
    first = api.send("POST", "/api/v1/receipts/issue", vectors.nested())
    signing.RECEIPTS_KEY_ID = "k-renamed"
    second = api.send("POST", "/api/v1/receipts/issue", vectors.nested())
    for receipt in (first, second):
        assert api.send("POST", "/api/v1/receipts/verify", receipt)["valid"]


def test_the_start_lists_the_key(db_all, signing):
    call_command("migrate", verbosity=0)
    assert ReceiptKey.objects.get().key == vectors.KEY.public
