"""The prompts of variations as the page exports them: pieces of JSON, most of which similar prompts share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...common.errors import TAB_CODES, UiapiError
from ...common.shorten import sentence

# Bytes counted for the fields and warnings of one export.
OVERHEAD = 500


@dataclass(eq=False)
class Export:
    """One prompt, or the reason why there is none.

    Attributes:
        fields: the result of each write: path, requested, value and warnings.
        warnings: about the prompt as a whole.
        error: why there is no prompt.
        base: the pieces of a similar prompt, whose concatenation is JSON; shared by many exports.
        changes: the pieces that differ, by index.
        size: bytes that this export holds and does not share, approximately.
    """

    fields: list[dict[str, Any]]
    warnings: list[str]
    error: UiapiError | None = None
    base: Sequence[str] = ()
    changes: Sequence[tuple[int, str]] = ()
    size: int = OVERHEAD

    def body(self) -> bytes:
        """Return what the page would have submitted to ComfyUI, as JSON."""
        texts = [*self.base]
        for at, text in self.changes:
            texts[at] = text
        return "".join(texts).encode("utf-8", "replace")

    def texts(self) -> Iterator[str]:
        """Yield texts that together contain all content of the prompt."""
        yield from self.base
        yield from (text for _, text in self.changes)

    def drop(self) -> None:
        """Forget the prompt once it is queued."""
        self.base = self.changes = ()


class Reader:
    """Reads the page's answers; keeps the pieces that one answer shares with the last."""

    def __init__(self) -> None:
        self._base: list[str] = []

    def read(self, answer: dict[str, Any]) -> list[Export]:
        """Return the exports in an answer of the page, in its order. Raises UiapiError `tab_failed`."""
        exports = []
        for prompt in answer["prompts"]:
            export = Export(prompt.get("fields") or [], prompt.get("warnings") or [])
            if prompt.get("error") is not None:
                export.error = error_of_page(prompt["error"])
            elif prompt.get("texts") is not None:
                export.size += self._take(prompt["texts"])
                export.base = self._base
            else:
                export.changes = [(at, text) for at, text in prompt.get("changes") or []]
                if not self._base or not all(self._fits(*change) for change in export.changes):
                    raise UiapiError("tab_failed", "The tab returned an incomplete export; reload the page.")
                export.base = self._base
                export.size += sum(len(text) for _, text in export.changes)
            exports.append(export)
        return exports

    def _fits(self, at: Any, text: Any) -> bool:
        return isinstance(at, int) and 0 <= at < len(self._base) and isinstance(text, str)

    def _take(self, texts: list[str]) -> int:
        """Use these pieces as the base from now on; returns the bytes of those that are new."""
        before, self._base = self._base, texts
        if len(before) != len(texts):
            return sum(map(len, texts))
        new = 0
        for at, (old, text) in enumerate(zip(before, texts, strict=True)):
            if old == text:
                texts[at] = old
            else:
                new += len(text)
        return new


def error_of_page(failure: dict[str, Any]) -> UiapiError:
    """Return the error that the page gives as the reason."""
    code = failure.get("code")
    details = failure.get("details")
    return UiapiError(
        code if code in TAB_CODES else "tab_failed",
        sentence(str(failure.get("error") or "The tab could not export this variation.")),
        details if isinstance(details, dict) else None,
    )
