"""Settings of all tests."""

import os

from hypothesis import settings

# No deadline: machines are shared, and a slow example is no failure. CI draws the same examples every time.
settings.register_profile("everywhere", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "everywhere")
