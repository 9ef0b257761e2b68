"""Encodes ComfyUI's preview pictures on a thread, one at a time and only the latest of each prompt."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
from collections.abc import Callable, Sequence
from typing import Any

log = logging.getLogger("uiapi")

Emit = Callable[[str, dict[str, Any]], object]
# ComfyUI's (format, PIL image, longest side in pixels or None), and its metadata.
Preview = tuple[tuple[str, Any, int | None], dict[str, Any]]


class Previews:
    """Encodes and sends previews.

    Args:
        sent: called with a prompt's id each time one of its previews has been sent or has failed.
    """

    def __init__(self, sent: Callable[[str | None], None]) -> None:
        self._sent = sent
        self._latest: dict[str | None, tuple[Preview, Sequence[Emit]]] = {}
        self._encoding: str | None = None
        self._task: asyncio.Task[None] | None = None

    def show(self, prompt_id: str | None, preview: Preview, emits: Sequence[Emit]) -> None:
        """Send this preview; it replaces one of the same prompt that has not been encoded yet."""
        self._latest[prompt_id] = (preview, emits)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="uiapi previews")

    def owes(self, prompt_id: str) -> bool:
        """Whether a preview of this prompt is still to be sent."""
        return prompt_id in self._latest or prompt_id == self._encoding

    def close(self) -> None:
        """Stop sending."""
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        while self._latest:
            prompt_id = next(iter(self._latest))
            (picture, about), emits = self._latest.pop(prompt_id)
            self._encoding = prompt_id
            try:
                content = await asyncio.to_thread(_encode, picture)
                data = {
                    "prompt_id": prompt_id,
                    "node": about.get("display_node_id") or about.get("node_id"),
                    "mime": f"image/{picture[0].lower()}",
                    "data": base64.b64encode(content).decode(),
                }
                for emit in emits:
                    emit("preview", data)
            except (OSError, ValueError, KeyError) as error:
                # The format does not support this kind of picture; the next one may work.
                log.warning("A preview could not be encoded as %s: %s", picture[0], error)
            except Exception:  # The last line of defence: the pictures of other prompts must still be sent.
                log.exception("A preview could not be sent.")
            finally:
                self._encoding = None
                self._sent(prompt_id)


def _encode(picture: tuple[str, Any, int | None]) -> bytes:
    kind, image, longest = picture
    if longest is not None:
        image = image.copy()
        image.thumbnail((longest, longest))
    buffer = io.BytesIO()
    image.save(buffer, format=kind, quality=95, compress_level=1)
    return buffer.getvalue()
