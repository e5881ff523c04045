from core.viewsets import Router
from gateway.views.audit import AuditViewSet
from gateway.views.projects import ProjectViewSet
from gateway.views.response_cache import CacheViewSet
from gateway.views.tokens import TokenViewSet

router = Router()
router.register("projects", ProjectViewSet, basename="projects")
router.register("tokens", TokenViewSet, basename="tokens")
router.register("cache", CacheViewSet, basename="cache")
router.register("audit", AuditViewSet, basename="audit")
urlpatterns = router.urls
