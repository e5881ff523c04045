from hypothesis import settings

from tests.receipts.conftest import signing
from tests.registry_proxy.conftest import refreshed

__all__ = ["refreshed", "signing"]

# The same examples everywhere, and no clock: a busy machine is no failure.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.load_profile("steady")
