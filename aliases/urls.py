from aliases.views import AliasViewSet
from core.viewsets import Router

router = Router()
router.register("aliases", AliasViewSet, basename="aliases")
urlpatterns = router.urls
