"""The documentation page of all commands, in a real browser."""

from __future__ import annotations

from comfyui_uiapi.tests.harness.browser.tab import Tab


async def test_the_page_opens_under_comfyuis_own_policy_and_asks_for_nothing_else(tab: Tab) -> None:
    page = await tab.page.context.new_page()
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    address = f"{tab.comfy.url}/uiapi/docs"
    answer = await page.goto(address)
    assert answer is not None and "default-src 'self'" in (await answer.all_headers())["content-security-policy"]
    # The page's own style is let through: the text has a measure.
    assert await page.evaluate("document.body.clientWidth") < 1100
    command = page.locator("#get_fields")
    assert not await command.locator("pre").first.is_visible()
    await command.locator("summary").click()
    assert "curl" in await command.locator("pre").first.inner_text()
    assert "unknown_path" in await command.inner_text()
    await page.close()
    assert wrong == [] and [url for url in asked if not url.startswith("data:")] == [address]
