from accounts.models import User
from tests.aliases.test_aliases import bind

LIST = "/admin/aliases/aliasbinding/"


def test_aliases_are_listed_searched_and_only_read(client, api):
    client.force_login(User.objects.create_superuser("admin"))
    row = bind(api, "first-alias", metadata={"note": "x"})
    bind(api, "other-alias", "p:other")
    html = client.get(LIST, {"q": "first-alias"}).content.decode()
    assert "first-alias" in html
    assert "p:other" not in html
    assert "note" in client.get(f"{LIST}{row['id']}/change/").content.decode()
    for action in ("add", f"{row['id']}/change", f"{row['id']}/delete"):
        assert client.post(f"{LIST}{action}/").status_code == 403


def test_aliases_lead_to_their_project_and_key(client, api):
    client.force_login(User.objects.create_superuser("admin"))
    row = bind(api, "first-alias")
    project = f'href="/admin/accounts/project/{api.project.id}/change/">{api.project.name}</a>'
    assert project in client.get(LIST).content.decode()
    html = client.get(f"{LIST}{row['id']}/change/").content.decode()
    assert project in html and f"/admin/accounts/apikey/{api.api_key_id}/change/" in html
