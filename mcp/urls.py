from django.urls import include, path, re_path

from core.viewsets import Router
from mcp import endpoint_view
from mcp.views import executions, items, servers

router = Router()
router.register("servers", servers.ServerViewSet, basename="mcp-server")
router.register("tools", items.ToolViewSet, basename="mcp-tool")
router.register("resources", items.ResourceViewSet, basename="mcp-resource")
router.register("prompts", items.PromptViewSet, basename="mcp-prompt")
router.register("executions", executions.ExecutionViewSet, basename="mcp-execution")

urlpatterns = [
    re_path(r"^mcp/?$", endpoint_view.EndpointView.as_view()),
    path("api/v1/mcp/", include(router.urls)),
]
