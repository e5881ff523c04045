from core import fields
from core.serializers import QuerySerializer
from registry_proxy.snapshot_names import SnapshotName, parse_snapshot_name


class WordsField(fields.TextField):
    """Words separated by commas, blanks around them ignored; each word once."""

    def to_internal_value(self, data) -> tuple[str, ...]:
        words = (word.strip() for word in super().to_internal_value(data).split(","))
        return tuple(dict.fromkeys(word for word in words if word))


class SnapshotNameField(fields.TextField):
    default_error_messages = {
        "version_parsing": "Input should be a version such as 2026.08.18 or 2026.08.18.2"
    }

    def to_internal_value(self, data) -> SnapshotName:
        name = parse_snapshot_name(super().to_internal_value(data).strip())
        return self.fail("version_parsing") if name is None else name


class RegistryQuery(QuerySerializer):
    version = fields.TextField(
        required=False,
        default="",
        help_text="A snapshot such as `2026.08.18`, an archive number, or upstream's version.",
    )
    providers = WordsField(
        required=False, default=(), help_text="Providers, separated by commas; empty for all."
    )
    capabilities = WordsField(
        required=False,
        default=(),
        help_text="What models must support, separated by commas: `vision`, `json_mode`, …",
    )


class ChangelogQuery(QuerySerializer):
    since = SnapshotNameField(required=False, help_text="Only versions after this one.")
    limit = fields.IntegerField(
        default=20, min_value=1, max_value=100, help_text="How many versions at most."
    )
