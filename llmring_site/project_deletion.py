"""The deletion of a project with its rows of all apps, in bounded steps.

The tables are found by their column `project_id`, so that no later table is forgotten. The
audit log stays, and so do the digests of keys.
"""

from collections.abc import Iterator

from django.apps import apps
from django.db import connection, models, transaction

from accounts.models import Allowance, AuditEvent, Project, RequestWindow
from gateway.models import Token

BATCH = 5_000  # rows in a transaction


def owned_models() -> list[type[models.Model]]:
    """Return the models with rows of projects; a model comes before those it refers to."""
    owned = [model for model in apps.get_models() if _has_project(model)]
    ordered: list[type[models.Model]] = []

    def visit(model: type[models.Model]) -> None:
        if model in ordered:
            return
        for other in owned:
            if other is not model and model in _references(other):
                visit(other)
        ordered.append(model)

    for model in owned:
        visit(model)
    return ordered


def count_rows(project: Project) -> dict[str, int]:
    """Return how many rows each table has of the project."""
    return {
        model._meta.db_table: model._base_manager.filter(project_id=project.pk).count()
        for model in owned_models()
    }


def delete_rows(project: Project, *, batch: int = BATCH) -> Iterator[tuple[str, int]]:
    """Delete the project; yield table and number of rows after each transaction.

    It may be interrupted and repeated. The project's own row is deleted last.
    """
    for model in owned_models():
        for dependent, field in _dependents(model):
            own = f"SELECT {_column(model._meta.pk)} FROM {_table(model)} WHERE project_id = %s"
            is_own = f"{_column(field)} IN ({own})"
            while deleted := _delete_some(dependent, is_own, project, batch):
                yield dependent._meta.db_table, deleted
        while deleted := _delete_own(model, project, batch):
            yield model._meta.db_table, deleted
    with transaction.atomic():
        RequestWindow.objects.filter(holder=project.pk).delete()
        Project.objects.filter(pk=project.pk).delete()
    yield Project._meta.db_table, 1


def _delete_own(model: type[models.Model], project: Project, batch: int) -> int:
    if model is Token:
        return _delete_tokens(project, batch)
    return _delete_some(model, "project_id = %s", project, batch)


@transaction.atomic
def _delete_tokens(project: Project, batch: int) -> int:
    """Delete tokens with their allowances, to which nothing else refers."""
    tokens = Token.objects.filter(project=project).values_list("id", "allowance_id")
    allowances = dict(tokens[:batch])
    Token.objects.filter(pk__in=allowances.keys()).delete()
    Allowance.objects.filter(pk__in=allowances.values()).delete()
    return len(allowances)


def _delete_some(model: type[models.Model], condition: str, project: Project, batch: int) -> int:
    with connection.cursor() as cursor:
        # By ctid: not every table has a primary key of one column.
        cursor.execute(
            f"DELETE FROM {_table(model)} WHERE ctid = ANY(ARRAY("
            f"SELECT ctid FROM {_table(model)} WHERE {condition} LIMIT %s))",
            [project.pk, batch],
        )
        return cursor.rowcount


def _dependents(model: type[models.Model]) -> list[tuple[type[models.Model], models.Field]]:
    """Return the models without a project of their own whose rows refer to the model's."""
    return [
        (other, field)
        for other in apps.get_models()
        if other is not Project and not _has_project(other)
        for field in other._meta.concrete_fields
        if field.is_relation and field.related_model is model
    ]


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _column(field: models.Field) -> str:
    return connection.ops.quote_name(field.column)


def _has_project(model: type[models.Model]) -> bool:
    if model is AuditEvent or not model._meta.managed or model._meta.proxy:
        return False
    return any(field.attname == "project_id" for field in model._meta.concrete_fields)


def _references(model: type[models.Model]) -> set[type[models.Model]]:
    return {field.related_model for field in model._meta.concrete_fields if field.is_relation}
