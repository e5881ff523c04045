"""What gives a person access to the server, as audit rows name it."""

from accounts.models import User

FLAGS = ("is_active", "is_staff", "is_superuser", "email", "username")


def access(user: User | None) -> dict:
    """Return what a person's access to the server is made of, as it is stored."""
    if user is None:
        return {}
    flags = {name: getattr(user, name) for name in FLAGS}
    groups, permissions = user.groups.all(), user.user_permissions.all()
    return {**flags, **names_of_access({"groups": groups, "user_permissions": permissions})}


def names_of_access(chosen: dict) -> dict:
    """Return those of the chosen rows that give access, by their names."""
    lists = {}
    if "groups" in chosen:
        lists["groups"] = sorted(group.name for group in chosen["groups"])
    for name in {"permissions", "user_permissions"} & chosen.keys():
        rows = chosen[name].select_related("content_type")
        lists[name] = sorted(f"{row.content_type.app_label}.{row.codename}" for row in rows)
    return lists
