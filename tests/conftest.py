"""What all tests share: how many examples hypothesis draws under ``make test-slow``."""

from hypothesis import settings

# Twice the default. Hostile cases draw as many times their own number (``hostile.hostile``).
settings.register_profile("thorough", max_examples=200)
