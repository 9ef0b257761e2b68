"""The number of hypothesis examples: a few fixed ones by default, a hundred thousand random ones with `--fuzz`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# Examples per test.
MANY, FEW = 20_000, 150


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> settings:
    """Settings that decorate a hypothesis test."""
    many = bool(request.config.getoption("--fuzz"))
    return settings(
        max_examples=MANY if many else FEW,
        derandomize=not many,
        database=None,
        deadline=None,
        # Whole workflows are large examples.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
