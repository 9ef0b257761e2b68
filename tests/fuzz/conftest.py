"""How many examples hypothesis tries here: a few, always the same; with `--fuzz` a hundred thousand, ever new ones."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# Examples of each of the five kinds.
MANY, FEW = 20_000, 150


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> settings:
    """Decorates a test of hypothesis."""
    many = bool(request.config.getoption("--fuzz"))
    return settings(
        max_examples=MANY if many else FEW,
        derandomize=not many,
        database=None,
        deadline=None,
        # A whole workflow is large by nature, and each test makes its own fixtures last for all examples.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
