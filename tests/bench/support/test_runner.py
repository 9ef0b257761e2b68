"""The benchmark runner: limits, percentiles, and the printed table."""

from __future__ import annotations

import pytest
from comfyui_uiapi.tests.bench import runner
from comfyui_uiapi.tests.bench.runner import Row, main, names, percentile, ratio, table
from comfyui_uiapi.tests.tools.steps import Stop


@pytest.mark.parametrize(
    ("value", "limit", "at_least", "holds"),
    [(1.3, 1.3, False, True), (1.31, 1.3, False, False), (7.0, 7.0, True, True), (6.9, 7.0, True, False)],
)
def test_a_value_holds_up_to_its_limit(value: float, limit: float, at_least: bool, holds: bool) -> None:
    row = Row("a", value, "x", limit, at_least)
    assert row.holds is holds
    assert ("BROKEN" in table([row])[1]) is not holds


def test_a_value_without_a_limit_is_information() -> None:
    row = Row("a", 12.3456, "ms", compared="curl")
    assert row.holds
    assert table([row])[1].split() == ["a", "12.35", "ms", "curl"]


def test_a_ratio_is_shown_with_both_values() -> None:
    row = ratio("a", 3.0, 2.0, 1.3)
    assert (row.value, row.holds) == (1.5, False)
    assert "3 ms to 2 ms" in table([row])[1]


@pytest.mark.parametrize(("percent", "value"), [(50, 2.0), (95, 4.0), (0, 1.0), (25, 1.0), (26, 2.0)])
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], percent) == value


def test_tests_and_helpers_are_no_measurements() -> None:
    assert not {"runner", "test_runner", "echo"} & set(names())


def test_an_unknown_measurement_is_refused_by_name() -> None:
    with pytest.raises(Stop, match="Unknown measurement nonsense"):
        main(["nonsense"])


def test_results_are_printed_although_another_measurement_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def measured(module: str) -> list[Row]:
        if module == "bench_first":
            raise RuntimeError("the page has no panel")
        return [Row("the second figure", 1.0, "x")]

    monkeypatch.setattr(runner, "names", lambda: ["first", "second"])
    monkeypatch.setattr(runner, "_measured", measured)
    assert main([]) == 1
    printed = capsys.readouterr().out
    assert "RuntimeError: the page has no panel" in printed
    assert "the second figure" in printed
    assert "1 passed, 1 failed" in printed
