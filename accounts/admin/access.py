"""A person's access to the server, as audit rows describe it."""

from accounts.models import User

FLAGS = ("is_active", "is_staff", "is_superuser", "email", "username")


def access(user: User | None) -> dict:
    """Return the stored values that make up a person's access to the server."""
    if user is None:
        return {}
    flags = {name: getattr(user, name) for name in FLAGS}
    groups, permissions = user.groups.all(), user.user_permissions.all()
    return {**flags, **names_of_access({"groups": groups, "user_permissions": permissions})}


def names_of_access(chosen: dict) -> dict:
    """Return the names of the chosen groups and permissions."""
    lists = {}
    if "groups" in chosen:
        lists["groups"] = sorted(group.name for group in chosen["groups"])
    for name in {"permissions", "user_permissions"} & chosen.keys():
        rows = chosen[name].select_related("content_type")
        lists[name] = sorted(f"{row.content_type.app_label}.{row.codename}" for row in rows)
    return lists
