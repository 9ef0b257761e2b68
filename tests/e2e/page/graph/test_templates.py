"""Template workflows as ComfyUI ships them: every widget read, one in each node written, read back and undone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.sweep import sample, sweep, templates, workflow_of
from comfyui_uiapi.tests.harness.browser.tab import Tab

from ..conftest import Send

# `dev.py bench templates` takes all of them with every frontend; here the frontends share the sample.
COUNT = 60


async def test_a_sample_of_the_template_workflows_is_read_written_and_undone(
    send: Send, tab: Tab, frontend: str, pytestconfig: pytest.Config
) -> None:
    versions = pytestconfig.getoption("--frontends")
    known: set[str] = set(await asyncio.to_thread(tab.comfy.get, "/object_info"))
    paths = sample(templates(known), COUNT)[versions.index(frontend) :: len(versions)]
    assert len(paths) == COUNT // len(versions)
    wrong: dict[str, Any] = {}
    for path in paths:
        found = await sweep(send, tab, workflow_of(path))
        if found:
            wrong[path.name] = found[:5]
        await tab.clear()
    assert wrong == {}
