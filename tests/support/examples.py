"""How many examples a property test is given."""

from hypothesis import settings


def examples(percent: int) -> settings:
    """Return settings with a share of the examples that the profile asks for."""
    return settings(max_examples=max(1, settings().max_examples * percent // 100))
