"""Settings of hypothesis: machines differ in speed, so a test has no deadline for one example."""

from hypothesis import settings

settings.register_profile("spikerun", deadline=None, print_blob=True)
settings.load_profile("spikerun")
