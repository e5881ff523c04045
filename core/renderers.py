"""DRF's rendering and negotiation: always JSON, by core/json_writer.py."""

from rest_framework.metadata import SimpleMetadata
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer

from core import json_writer


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return b"" if data is None else json_writer.dumps(data)


class AlwaysJSON(BaseContentNegotiation):
    """Always selects JSON, whatever `Accept` is: clients send anything."""

    def select_parser(self, request, parsers):
        return parsers[0]

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type


class Metadata(SimpleMetadata):
    """The reply to OPTIONS: name and description; /openapi.json has the members."""

    def determine_actions(self, request, view) -> dict:
        return {}
