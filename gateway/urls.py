from core.viewsets import Router
from gateway.views import AuditViewSet, CacheViewSet, ProjectViewSet, TokenViewSet

router = Router()
router.register("projects", ProjectViewSet, basename="projects")
router.register("tokens", TokenViewSet, basename="tokens")
router.register("cache", CacheViewSet, basename="cache")
router.register("audit", AuditViewSet, basename="audit")
urlpatterns = router.urls
