from hypothesis import settings

# The same examples everywhere, and no clock: a busy machine is no failure.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.load_profile("steady")
