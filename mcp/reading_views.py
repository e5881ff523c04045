from rest_framework.response import Response
from rest_framework.views import APIView

from mcp import examples, server_content
from mcp.models import Prompt, Resource
from mcp.routes import FAILED, NOT_FOUND, documented, in_path, row_of, rows_of
from mcp.serializers import (
    ContentSerializer,
    ItemsQuery,
    PromptSerializer,
    RenderedPromptSerializer,
    ResourceSerializer,
)


class ResourcesView(APIView):
    @documented(
        "List resources by address",
        parameters=[ItemsQuery],
        reply=ResourceSerializer(many=True),
        example=examples.RESOURCE,
    )
    def get(self, request):
        return Response(ResourceSerializer(rows_of(Resource, request), many=True).data)


class ResourceView(APIView):
    @documented(
        "Get a resource",
        parameters=[in_path("resource_id")],
        reply=ResourceSerializer,
        example=examples.RESOURCE,
        others={404: NOT_FOUND},
    )
    def get(self, request, resource_id):
        found = row_of(Resource, request, resource_id, "resource_id")
        return Response(ResourceSerializer(found).data)


class ContentView(APIView):
    @documented(
        "Read a resource from its server",
        parameters=[in_path("resource_id")],
        reply=ContentSerializer,
        example=examples.CONTENT,
        others={404: NOT_FOUND, 502: FAILED},
    )
    def get(self, request, resource_id):
        resource = row_of(Resource, request, resource_id, "resource_id")
        found = server_content.read_content(resource)
        return Response(
            ContentSerializer(
                {
                    "resource": resource,
                    "content": found.first,
                    "contents": found.contents,
                    "mime_type": found.mime_type,
                    "error": found.error,
                }
            ).data
        )


class PromptsView(APIView):
    @documented(
        "List prompts by name",
        parameters=[ItemsQuery],
        reply=PromptSerializer(many=True),
        example=examples.PROMPT,
    )
    def get(self, request):
        return Response(PromptSerializer(rows_of(Prompt, request), many=True).data)


class PromptView(APIView):
    @documented(
        "Get a prompt",
        parameters=[in_path("prompt_id")],
        reply=PromptSerializer,
        example=examples.PROMPT,
        others={404: NOT_FOUND},
    )
    def get(self, request, prompt_id):
        return Response(PromptSerializer(row_of(Prompt, request, prompt_id, "prompt_id")).data)


class RenderView(APIView):
    @documented(
        "Render a prompt on its server",
        description='The body is the map of arguments; `{"arguments": {…}}` is understood '
        "too, unless the prompt has an argument of that name.",
        parameters=[in_path("prompt_id")],
        request={"application/json": {"type": "object", "additionalProperties": {}}},
        entry=examples.RENDERED["arguments"],
        reply=RenderedPromptSerializer,
        example=examples.RENDERED,
        others={404: NOT_FOUND, 502: FAILED},
    )
    def post(self, request, prompt_id):
        prompt = row_of(Prompt, request, prompt_id, "prompt_id")
        arguments = server_content.arguments_in(
            request.data if request.body.strip() else {}, prompt
        )
        rendering = server_content.render(prompt, arguments)
        return Response(
            RenderedPromptSerializer(
                {
                    "prompt": prompt,
                    "arguments": arguments,
                    "rendered": rendering.text,
                    "messages": rendering.messages,
                    "description": rendering.description,
                    "error": rendering.error,
                }
            ).data
        )
