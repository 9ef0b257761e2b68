"""Links in the notes of a workflow, in every form that authors and their tools write them."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.finding.note_links import MOST_LINKS, MOST_OF_NAME, note_links

HUB = "https://huggingface.co/maker/repo/resolve/main"


def links(*texts: str, kind: str = "MarkdownNote", values: Any = None) -> dict[str, list[str]]:
    nodes = [{"id": number, "type": kind, "widgets_values": values or [text]} for number, text in enumerate(texts)]
    return {name: [one.url for one in found] for name, found in note_links({"nodes": nodes}).items()}


@pytest.mark.parametrize(
    "text",
    [
        f"{HUB}/one.safetensors",
        f"See {HUB}/one.safetensors.",
        f"({HUB}/one.safetensors), then",
        f"**{HUB}/one.safetensors**",
        f"<{HUB}/one.safetensors>",
        f"`{HUB}/one.safetensors`",
        f"| [link]({HUB}/one.safetensors) | vae |",
        f'[link]({HUB}/one.safetensors "title")',
        f"[the *model*]( {HUB}/one.safetensors )",
        f'<a href="{HUB}/one.safetensors">one</a>',
        f"{HUB}/one.safetensors?download=true",
        f"{HUB}/one.safetensors#files",
        "https://huggingface.co/maker/repo/blob/main/one.safetensors",
        "http://www.huggingface.co/maker/repo/resolve/main/one.safetensors",
        "HTTPS://huggingface.co/maker/repo/resolve/main/one%2Esafetensors",
        f"loras:{HUB}/one.safetensors\nmore",
    ],
)
def test_a_link_to_a_file_counts_in_every_form_it_is_written_in(text: str) -> None:
    assert links(text) == {"one.safetensors": [f"{HUB}/one.safetensors"]}


def test_links_without_a_space_between_them_and_names_with_brackets_or_spaces_are_read_apart() -> None:
    text = f"[a]({HUB}/a.safetensors)[b]({HUB}/b_(v1).safetensors) {HUB}/c.ckpt,{HUB}/my%20model%5B1%5D.gguf"
    assert {*links(text)} == {"a.safetensors", "b_(v1).safetensors", "c.ckpt", "my model[1].gguf"}


def test_a_page_of_civitai_counts_under_the_name_in_its_links_text_only() -> None:
    page, download = "https://civitai.com/models/12?modelVersionId=34", "https://civitai.com/api/download/models/34"
    text = (
        f"[**one_v1.safetensors** (SDXL)]({page}) [my two.safetensors]({download}) {page} [three]({page}) "
        f"[four.safetensors](https://civitai.com/user/someone)"
    )
    found = links(text)
    assert found["one_v1.safetensors"] == [page]
    assert found["my two.safetensors"] == [download]
    assert not {"three", "four.safetensors"} & set(found)


def test_notes_in_subgraphs_of_any_depth_and_of_packs_are_read_and_other_nodes_are_not() -> None:
    def note(name: str, kind: str) -> dict[str, Any]:
        return {"id": 1, "type": kind, "widgets_values": [f"{HUB}/{name}.safetensors"]}

    inner = {"id": "inner", "nodes": [note("inner", "Note")]}
    outer = {"id": "outer", "nodes": [{"id": 5, "type": "inner"}], "definitions": {"subgraphs": [inner]}}
    top = [{"id": 3, "type": "outer"}, note("pack", "Note Plus (mtb)"), note("prompt", "CLIPTextEncode")]
    found = note_links({"nodes": top, "definitions": {"subgraphs": [outer]}})
    assert {*found} == {"inner.safetensors", "pack.safetensors"}
    assert found["inner.safetensors"][0].node == "3:5:1"


def test_links_to_other_things_than_model_files_are_ignored() -> None:
    assert (
        links(
            f"file:///models/one.safetensors ftp://host/one.safetensors javascript:one.safetensors {HUB}/ {HUB}/a.png "
            f"https:///one.safetensors https://user:word@host.example/one.safetensors https://[::/one.safetensors "
            f"https://host.example:99999/one.safetensors {HUB}/{'x' * 3000}/one.safetensors http:// https://"
        )
        == {}
    )
    assert links("x", values=[{"text": f"{HUB}/one.safetensors"}, None, 3]) == {}
    assert note_links({"1": {"class_type": "Note", "inputs": {"text": f"{HUB}/one.safetensors"}}}) == {}
    with pytest.raises(UiapiError, match="not an object"):
        note_links([])


def test_notes_of_any_size_are_read_within_limits() -> None:
    many = " ".join(f"{HUB}/{number}.safetensors" for number in range(MOST_LINKS * 2))
    assert len(links(many)) == MOST_LINKS
    same = " ".join(f"https://host{number}.example/one.safetensors" for number in range(500))
    assert len(links(same)["one.safetensors"]) == MOST_OF_NAME
    hostile = ("https://" * 100_000, "[" * 500_000, "[a](" * 200_000, "https://" + "(" * 800_000, "a_" * 400_000)
    # With a quadratic step this would take hours.
    assert links(*hostile) == {}
