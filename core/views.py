from rest_framework.permissions import AllowAny
from rest_framework.views import APIView


class PublicView(APIView):
    """A view that needs no key, and refuses none."""

    authentication_classes = []
    permission_classes = [AllowAny]
