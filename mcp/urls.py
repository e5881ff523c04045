from django.urls import include, path, re_path

from core.viewsets import Router
from mcp import endpoint_view, views

router = Router()
router.register("servers", views.ServerViewSet, basename="mcp-server")
router.register("tools", views.ToolViewSet, basename="mcp-tool")
router.register("resources", views.ResourceViewSet, basename="mcp-resource")
router.register("prompts", views.PromptViewSet, basename="mcp-prompt")
router.register("executions", views.ExecutionViewSet, basename="mcp-execution")

urlpatterns = [
    re_path(r"^mcp/?$", endpoint_view.EndpointView.as_view()),
    path("api/v1/mcp/", include(router.urls)),
]
