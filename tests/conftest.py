"""What holds for all tests: properties have no deadline, since speed is never asserted."""

from hypothesis import settings

settings.register_profile("house", deadline=None)
settings.load_profile("house")
