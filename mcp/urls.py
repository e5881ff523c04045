from django.urls import re_path

from mcp import endpoint_view, reading_views, server_views, tool_views

_SERVER = r"^api/v1/mcp/servers/(?P<server_id>[^/]+)"
_TOOL = r"^api/v1/mcp/tools/(?P<tool_id>[^/]+)"
_RESOURCE = r"^api/v1/mcp/resources/(?P<resource_id>[^/]+)"
_PROMPT = r"^api/v1/mcp/prompts/(?P<prompt_id>[^/]+)"

urlpatterns = [
    re_path(r"^mcp/?$", endpoint_view.EndpointView.as_view()),
    re_path(r"^api/v1/mcp/servers/?$", server_views.ServersView.as_view()),
    re_path(rf"{_SERVER}/?$", server_views.ServerView.as_view()),
    re_path(rf"{_SERVER}/refresh/?$", server_views.RefreshView.as_view()),
    re_path(r"^api/v1/mcp/tools/?$", tool_views.ToolsView.as_view()),
    re_path(rf"{_TOOL}/?$", tool_views.ToolView.as_view()),
    re_path(rf"{_TOOL}/execute/?$", tool_views.ExecuteView.as_view()),
    re_path(rf"{_TOOL}/accept/?$", tool_views.AcceptView.as_view()),
    re_path(rf"{_TOOL}/history/?$", tool_views.HistoryView.as_view()),
    re_path(r"^api/v1/mcp/resources/?$", reading_views.ResourcesView.as_view()),
    re_path(rf"{_RESOURCE}/?$", reading_views.ResourceView.as_view()),
    re_path(rf"{_RESOURCE}/content/?$", reading_views.ContentView.as_view()),
    re_path(r"^api/v1/mcp/prompts/?$", reading_views.PromptsView.as_view()),
    re_path(rf"{_PROMPT}/?$", reading_views.PromptView.as_view()),
    re_path(rf"{_PROMPT}/render/?$", reading_views.RenderView.as_view()),
]
