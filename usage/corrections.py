"""What callers, operators and the repricing of the ledger correct.

Source: docs/http-contract/usage.md, section "Corrections".
"""

from typing import Any
from uuid import UUID

from django.http import Http404

from core import parsing
from core.scoping import Caller
from usage import ingestion, log_rows, reversals
from usage.columns import INPUT_CLASSES, OUTPUT_CLASSES, TOKEN_COLUMNS
from usage.log_rows import OwnedConversations
from usage.models import EntryType, UsageLog
from usage.reports.reading import WITHOUT_COUNTS
from usage.schemas import Correction, LogEntry

_COUNTS = {*TOKEN_COLUMNS, "reasoning_tokens"}
# Units that count a part of the cached tokens, so new counts replace them, too.
_CACHED_MEDIA = {"cached_audio_tokens", "cached_image_tokens"}
_TIER = "service_tier"
# Where providers' usage objects name it.
_TIER_MEMBERS = {"service_tier", "serviceTier", "trafficType"}
# What a log says besides its usage.
_DESCRIPTION = ("alias", "profile", "origin", "id_at_origin", "latency_ms")


def void(caller: Caller, log_id: UUID, reason: str) -> dict:
    """Take a log back. Raises Http404, AlreadyCorrected, NotCorrectable."""
    original = _own_log(caller, log_id)
    author = caller.author
    return _reply(original, reversals.reverse(original, reason=reason, author=author))


def correct(
    caller: Caller,
    log_id: UUID,
    correction: Correction,
    *,
    owned_conversations: OwnedConversations,
) -> dict:
    """Replace a log by what it should have said.

    Raises Http404, InvalidInput, AlreadyCorrected, NotCorrectable.
    """
    original = _own_log(caller, log_id)
    reversals.require_correctable(original)  # first: its negative numbers are no valid report
    changes = _changes(correction)
    entry = parsing.validate(LogEntry, _corrected_report(original, changes))
    if "metadata" in changes:
        (context,) = log_rows.resolve([entry], caller, owned_conversations)
        row = log_rows.build_row(entry, caller, context)
    else:
        row = log_rows.build_row(entry, caller)
        # Not through the report: it may be larger than reports may be now, and the
        # counts of token classes in it are those that were wrong.
        row.columns["metadata"] = original.metadata
    reversal_id = reversals.reverse(
        original,
        reason=correction.reason,
        author=caller.author,
        replacement=row,
    )
    return _reply(original, reversal_id, ingestion.reply(row))


def corrected_by(project_id: UUID, log_ids: list[UUID]) -> dict[UUID, UUID]:
    """Return the entry that took each log back, for those that were corrected."""
    corrections = UsageLog.objects.filter(
        project_id=project_id, corrects_id__in=log_ids, entry_type=EntryType.REVERSAL
    )
    return dict(corrections.values_list("corrects_id", "id"))


def _own_log(caller: Caller, log_id: UUID) -> UsageLog:
    log = UsageLog.objects.for_caller(caller).filter(pk=log_id).first()
    if log is None:
        raise Http404("Log not found")
    return log


def _changes(correction: Correction) -> dict[str, Any]:
    """Return the members of a report that are corrected; null is left out."""
    sent = correction.sent().items()
    return {name: value for name, value in sent if name != "reason" and value is not None}


def _corrected_report(original: UsageLog, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the report that the original should have been."""
    report = {name: getattr(original, name) for name in ("provider", "model", *_DESCRIPTION)}
    report |= {"user": _stated_user(original, changes), "timestamp": original.created_at}
    return report | _unchanged_usage(original, changes) | changes


def _stated_user(original: UsageLog, changes: dict[str, Any]) -> str | None:
    """Return the end user, unless it comes from metadata that is replaced."""
    is_of_metadata = original.end_user == log_rows.user_in(original.metadata)
    return None if "metadata" in changes and is_of_metadata else original.end_user


def _unchanged_usage(original: UsageLog, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a report on usage that the changes leave as they were."""
    if changes.get("usage_status") in WITHOUT_COUNTS:
        return {}
    modifiers = {"modifiers": _unchanged_modifiers(original, changes)}
    if "usage" in changes:
        return modifiers
    usage = reported_usage(original) | modifiers
    if not changes.keys() & _COUNTS:
        return usage
    units = {name: n for name, n in (usage["units"] or {}).items() if name not in _CACHED_MEDIA}
    # Unknown and failed calls have no counts, so now it is neither.
    is_counted = original.usage_status not in WITHOUT_COUNTS
    status = {"usage_status": original.usage_status} if is_counted else {}
    return {"units": units, **modifiers, **status}


def _unchanged_modifiers(original: UsageLog, changes: dict[str, Any]) -> dict[str, str]:
    """Return the modifiers that are neither replaced by a new tier nor by a usage object.

    Of those that usage objects state, the tier may stand beside them: OpenAI has it there.
    """
    modifiers = (original.units_and_modifiers or {}).get("modifiers", {})
    usage = changes.get("usage")
    if usage is not None:
        modifiers = {name: term for name, term in modifiers.items() if name == _TIER}
    if _TIER in changes or not _TIER_MEMBERS.isdisjoint(usage or ()):
        modifiers = {name: term for name, term in modifiers.items() if name != _TIER}
    return modifiers


def reported_usage(log: UsageLog) -> dict[str, Any]:
    """Return the members of a report that say what a stored log used."""
    classes = (*INPUT_CLASSES, *OUTPUT_CLASSES)
    extras = log.units_and_modifiers or {}
    return {
        "input_tokens": log.input_tokens,
        "output_tokens": log.output_tokens,
        **{name: getattr(log, name) for name in classes},
        # Stored totals contain their classes.
        "input_includes_cache": True,
        "output_includes_thinking": True,
        "usage_status": log.usage_status,
        "units": extras.get("units"),
        "modifiers": extras.get("modifiers"),
    }


def _reply(original: UsageLog, reversal_id: UUID, replacement: dict | None = None) -> dict:
    return {
        "corrected_id": original.id,
        "reversal_id": reversal_id,
        "replacement": replacement,
    }
