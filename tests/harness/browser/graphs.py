"""Small workflows for the tests, in the formats that ComfyUI saves."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

DEEP = "d7cb8d10-f4b7-4217-82ad-3cae85728cfc"
OUTER = "657016df-8d7a-4f3e-8e0c-66ea4429f40c"
SEEDED = "0d1f8c1e-5a3b-4d0e-9f2e-3b7b6a1c9e55"


def empty_to_save(width: int = 64, prefix: str = "test") -> Json:
    """API format: EmptyImage (1) to SaveImage (2)."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": width, "height": 32, "batch_size": 1, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def node(ident: int, kind: str, title: str | None = None, values: list[Any] | None = None, **more: Any) -> Json:
    """A node of a UI-format workflow."""
    return {
        "id": ident,
        "type": kind,
        "pos": [ident * 250, 100],
        "size": [220, 100],
        "flags": {},
        "order": ident,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": {},
        **({} if title is None else {"title": title}),
        **({} if values is None else {"widgets_values": values}),
        **more,
    }


def ui(nodes: list[Json], links: list[list[Any]] | None = None, subgraphs: list[Json] | None = None) -> Json:
    """A UI-format workflow."""
    return {
        "last_node_id": 100,
        "last_link_id": 100,
        "nodes": nodes,
        "links": links or [],
        "groups": [],
        "definitions": {"subgraphs": subgraphs or []},
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _input(name: str, kind: str, link: int | None = None, widget: bool = True) -> Json:
    return {"name": name, "type": kind, "link": link, **({"widget": {"name": name}} if widget else {})}


def _link(ident: int, origin: tuple[int, int], target: tuple[int, int], kind: str) -> Json:
    return {
        "id": ident,
        "origin_id": origin[0],
        "origin_slot": origin[1],
        "target_id": target[0],
        "target_slot": target[1],
        "type": kind,
    }


def _subgraph(ident: str, name: str, nodes: list[Json], links: list[Json], promoted: dict[str, int], made: int) -> Json:
    """A subgraph whose inputs, all INT, are `promoted` (name to link id) and whose one output is link `made`."""
    return {
        "id": ident,
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": 50, "lastLinkId": 50, "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": name,
        "inputNode": {"id": -10, "bounding": [-180, -20, 120, 40]},
        "outputNode": {"id": -20, "bounding": [900, -30, 120, 60]},
        "inputs": [
            {
                "id": f"00000000-0000-4000-8000-{place:012}",
                "name": name,
                "type": "INT",
                "linkIds": [link],
                "pos": [0, 0],
            }
            for place, (name, link) in enumerate(promoted.items())
        ],
        "outputs": [
            {
                "id": f"{ident[:8]}-0000-4000-8000-000000000099",
                "name": "IMAGE",
                "type": "IMAGE",
                "linkIds": [made],
                "pos": [20, 20],
            }
        ],
        "widgets": [],
        "nodes": nodes,
        "groups": [],
        "links": links,
        "extra": {},
    }


def nested() -> Json:
    """UI format, two subgraphs deep.

    `Outer` (5) holds `Deep` (4) and `Scale` (2); `Deep` holds `Inner Image` (1), an EmptyImage. Its width is promoted
    twice, up to Outer; its height once, up to Deep; batch_size and color not at all. Outer feeds `Save` (3).
    """
    image = node(
        1,
        "EmptyImage",
        "Inner Image",
        [512, 256, 1, 0],
        inputs=[
            _input("width", "INT", 3),
            _input("height", "INT", 4),
            _input("batch_size", "INT"),
            _input("color", "INT"),
        ],
        outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
    )
    deep = _subgraph(
        DEEP,
        "Deep",
        [image],
        [
            _link(1, (1, 0), (-20, 0), "IMAGE"),
            _link(3, (-10, 0), (1, 0), "INT"),
            _link(4, (-10, 1), (1, 1), "INT"),
        ],
        {"width": 3, "height": 4},
        1,
    )
    deep_node = node(
        4,
        DEEP,
        "Deep",
        [512, 256],
        inputs=[_input("width", "INT", 4), _input("height", "INT")],
        outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [3]}],
        properties={"proxyWidgets": [["-1", "width"], ["-1", "height"]]},
    )
    scale = node(
        2,
        "ImageScaleBy",
        "Scale",
        ["nearest-exact", 1],
        inputs=[
            _input("image", "IMAGE", 3, widget=False),
            _input("upscale_method", "COMBO"),
            _input("scale_by", "FLOAT"),
        ],
        outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [2]}],
    )
    outer = _subgraph(
        OUTER,
        "Outer",
        [deep_node, scale],
        [
            _link(3, (4, 0), (2, 0), "IMAGE"),
            _link(2, (2, 0), (-20, 0), "IMAGE"),
            _link(4, (-10, 0), (4, 0), "INT"),
        ],
        {"width": 4},
        2,
    )
    return ui([save(4), outer_node(5, "Outer", 4)], [[4, 5, 0, 3, 0, "IMAGE"]], [deep, outer])


def save(link: int | None) -> Json:
    """`Save` (3), a SaveImage fed by this link."""
    inputs = [_input("images", "IMAGE", link, widget=False), _input("filename_prefix", "STRING")]
    return node(3, "SaveImage", "Save", ["test"], inputs=inputs)


def outer_node(ident: int, title: str, link: int | None) -> Json:
    """A subgraph node of Outer."""
    return node(
        ident,
        OUTER,
        title,
        [512],
        inputs=[_input("width", "INT")],
        outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [] if link is None else [link]}],
        properties={"proxyWidgets": [["-1", "width"]]},
    )


def nested_twice() -> Json:
    """`nested` with a second node of the same subgraph, `Other` (6)."""
    workflow = nested()
    workflow["nodes"].append(outer_node(6, "Other", None))
    return workflow


def seeded(control: str) -> Json:
    """UI format: `Canvas` (1) through `Slow` (2), a LabSlow whose seed has this control, to `Out` (3)."""
    slow = node(
        2,
        "LabSlow",
        "Slow",
        [0, 5, control],
        inputs=[_input("image", "IMAGE", 1, widget=False)],
        outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [2]}],
    )
    return _canvas_to_out(slow)


def seeded_by_primitive(control: str) -> Json:
    """`seeded`, its seed linked to `Seed` (4), a PrimitiveNode."""
    workflow = seeded("fixed")
    workflow["nodes"][1]["inputs"].append(_input("seed", "INT", 3))
    made = [{"name": "INT", "type": "INT", "links": [3], "widget": {"name": "seed"}}]
    workflow["nodes"].append(node(4, "PrimitiveNode", "Seed", [5, control], outputs=made))
    workflow["links"].append([3, 4, 0, 2, 1, "INT"])
    return workflow


def seeded_inside(control: str) -> Json:
    """`seeded`, where `Slow` (2) is a subgraph node that contains the LabSlow (11) and promotes its seed."""
    inner = node(
        11,
        "LabSlow",
        "Inner",
        [0, 5, control],
        inputs=[_input("image", "IMAGE", 2, widget=False), _input("seconds", "FLOAT"), _input("seed", "INT", 3)],
        outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [4]}],
    )
    links = [
        _link(2, (-10, 0), (11, 0), "IMAGE"),
        _link(3, (-10, 1), (11, 2), "INT"),
        _link(4, (11, 0), (-20, 0), "IMAGE"),
    ]
    boxed = _subgraph(SEEDED, "Boxed", [inner], links, {"image": 2, "seed": 3}, 4)
    boxed["inputs"][0]["type"] = "IMAGE"
    host = node(
        2,
        SEEDED,
        "Slow",
        [5],
        inputs=[_input("image", "IMAGE", 1, widget=False), _input("seed", "INT")],
        outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [2]}],
        properties={"proxyWidgets": [["-1", "seed"]]},
    )
    return _canvas_to_out(host, [boxed])


def _canvas_to_out(between: Json, subgraphs: list[Json] | None = None) -> Json:
    canvas = node(1, "EmptyImage", "Canvas", [16, 16, 1, 0], outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [1]}])
    out = node(3, "LabSilent", "Out", inputs=[_input("image", "IMAGE", 2, widget=False)])
    return ui([canvas, between, out], [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]], subgraphs)


def everywhere() -> Json:
    """`Canvas` (1) goes to `All` (2), a LabEverywhere, and by that to `Invert` (3), and `Out` (4)."""
    image = [{"name": "IMAGE", "type": "IMAGE", "links": [1]}]
    return ui(
        [
            node(1, "EmptyImage", "Canvas", [16, 16, 1, 0], outputs=image),
            node(2, "LabEverywhere", "All", inputs=[{"name": "image", "type": "IMAGE", "link": 1}]),
            node(
                3,
                "ImageInvert",
                "Invert",
                inputs=[{"name": "image", "type": "IMAGE", "link": None}],
                outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [2]}],
            ),
            # Without a preview, which would change the node's size.
            node(4, "LabSilent", "Out", inputs=[{"name": "image", "type": "IMAGE", "link": 2}]),
        ],
        [[1, 1, 0, 2, 0, "IMAGE"], [2, 3, 0, 4, 0, "IMAGE"]],
    )
