"""Which rule of the database a statement broke."""

from django.db import IntegrityError


def repeats_id(error: IntegrityError) -> bool:
    """Return whether there is a row with the new one's id already."""
    return violated_constraint(error).endswith("_pkey")


def violated_constraint(error: IntegrityError) -> str:
    """Return the name of the constraint, or of the unique index; "" where PostgreSQL names none."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""
