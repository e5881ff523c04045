import secrets

from django.core.management.base import BaseCommand

from receipts import keys
from receipts.keys import SigningKey


class Command(BaseCommand):
    help = "Create a key that signs receipts, and print the variables to set."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--key-id", default="", help="id of the key (default: from its digest)")

    def handle(self, *args, key_id, **options):
        key = SigningKey(secrets.token_bytes(32), key_id)
        self.stdout.write(f"LLMRING_RECEIPTS_PRIVATE_KEY_B64={keys.encode(key.seed)}")
        self.stdout.write(f"LLMRING_RECEIPTS_PUBLIC_KEY_B64={key.public.text}")
        self.stdout.write(f"LLMRING_RECEIPTS_KEY_ID={key.id}")
