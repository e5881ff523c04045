"""A resource as it is declared: paging, filters, scoping and its part of the OpenAPI document."""

import pytest
from django.urls import include, path
from drf_spectacular.generators import SchemaGenerator
from pydantic import Field
from rest_framework.response import Response

from core.schemas import Schema, Text255
from core.viewsets import ListMixin, RetrieveMixin, Router, ScopedModelViewSet, page_query
from templates_app.models import ConversationTemplate


class Note(Schema):
    id: object = None
    name: str
    project_id: str | None = Field(validation_alias="project_label", default=None)


class NewNote(Schema):
    """A note to make."""

    name: Text255
    model_config = {"json_schema_extra": {"examples": [{"name": "first"}]}}


class NotesQuery(page_query(default=2, maximum=3)):
    name: Text255 | None = Field(None, description="The exact name.")


class NoteViewSet(ListMixin, RetrieveMixin, ScopedModelViewSet):
    queryset = ConversationTemplate.objects.order_by("name")
    reply = Note
    bodies = {"create": NewNote}
    queries = {"list": NotesQuery}
    filters = {"name": "name"}
    tags = ["notes"]
    not_found = "Note not found"

    def create(self, request):
        """Make a note

        It is stored at once.
        """
        row = ConversationTemplate.objects.create(name=self.body.name, **request.auth.columns())
        return Response(self.represent(row))


router = Router()
router.register("notes", NoteViewSet, basename="note")
urlpatterns = [path("", include(router.urls))]
pytestmark = pytest.mark.urls(__name__)


def test_rows_are_made_listed_filtered_and_read(api):
    made = [api.send("POST", "/notes", {"name": name})["id"] for name in "abc"]
    assert [note["name"] for note in api.read("/notes")] == ["a", "b"]
    assert [note["name"] for note in api.read("/notes/?offset=2")] == ["c"]
    assert [note["id"] for note in api.read("/notes?name=b")] == [made[1]]
    assert api.read(f"/notes/{made[0]}")["name"] == "a"


def test_rows_of_others_are_not_found(api, other_api):
    note = api.send("POST", "/notes", {"name": "a"})["id"]
    assert other_api.read("/notes") == []
    assert other_api.read(f"/notes/{note}", expect=404) == {"detail": "Note not found"}
    assert api.read("/notes/x", expect=422)["detail"][0]["type"] == "uuid_parsing"


def test_bad_bodies_and_queries_are_refused(api):
    assert api.send("POST", "/notes", {}, expect=422)["detail"][0]["loc"] == ["body", "name"]
    assert api.read("/notes?limit=4", expect=422)["detail"][0]["loc"] == ["query", "limit"]
    api.send("POST", "/notes", {"name": 1}, expect=422)
    api.send("DELETE", "/notes", expect=405)


def test_options_are_answered(api):
    assert api.send("OPTIONS", "/notes")["name"] == "Note List"


def test_document_is_made_of_the_same_schemas():
    document = SchemaGenerator(patterns=urlpatterns).get_schema(public=True)
    paths = {name.rstrip("/?"): item for name, item in document["paths"].items()}
    post, listing = paths["/notes"]["post"], paths["/notes"]["get"]
    assert (post["summary"], post["description"]) == ("Make a note", "It is stored at once.")
    body = post["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/NewNoteRequest"}
    assert body["examples"] == {"example 1": {"value": {"name": "first"}}}
    limit = next(item for item in listing["parameters"] if item["name"] == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 3, "default": 2}
    reply = listing["responses"]["200"]["content"]["application/json"]["schema"]
    assert reply == {"type": "array", "items": {"$ref": "#/components/schemas/Note"}}


def test_schemas_of_one_name_are_refused():
    class Other(Schema):
        text: str

    class OtherViewSet(NoteViewSet):
        bodies = {"create": type("NewNote", (Other,), {})}

    other = Router()
    other.register("others", OtherViewSet, basename="other")
    with pytest.raises(Exception, match="Two schemas are named NewNoteRequest"):
        SchemaGenerator(patterns=[*urlpatterns, *other.urls]).get_schema(public=True)
