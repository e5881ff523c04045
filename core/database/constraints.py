"""Which constraint a statement violated."""

from django.db import IntegrityError


def repeats_id(error: IntegrityError) -> bool:
    """Return whether a row with the new row's id exists already."""
    return violated_constraint(error).endswith("_pkey")


def violated_constraint(error: IntegrityError) -> str:
    """Return the name of the constraint or unique index; "" if PostgreSQL names none."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""
