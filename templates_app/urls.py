from core.viewsets import Router
from templates_app.views import TemplateViewSet

router = Router()
router.register("templates", TemplateViewSet, basename="templates")
urlpatterns = router.urls
