"""PROTOCOL.md, read by a machine: what Python sends is what stands there."""

import json
import math
import re
from pathlib import Path

import pytest

from sparse_autoencoder.playground import Playground, panel

pytestmark = pytest.mark.usefixtures("eagerly")

TEXT = Path(panel.__file__).with_name("PROTOCOL.md").read_text(encoding="utf-8")


def table(head):
    """The rows below a head of a table: lists of cells."""
    lines = TEXT[TEXT.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
    return [re.split(r" *(?<!\\)\| *", line)[1:-1] for line in lines]


def names(cell):
    """The names in a cell, each in backticks; a value may follow, as in `kind: "frame"`."""
    return [re.match(r"\w+", name)[0] for name in re.findall("`([^`]*)`", cell)]


FRAME = {name: text for row in table("key") for name in names(row[0]) for text in [row[1]]}
BUFFERS = {name: row[1] for row in table("name") for name in names(row[0])}
ASKED = {
    "hello": [{}],
    "tick": [{}, {"hurry": True}],
    "train": [{"on": True}, {"on": False}],
    "step": [{}],
    "reset": [{}, {"seed": 3}],
    "speed": [{"speed": "one step"}],
    "preset": [{"preset": "UFLDL's settings"}],
    "set": [{"values": {"beta": 3}}],
    "look": [{"unit": 2}, {"unit": None}],
    "switch": [{"unit": 2, "on": False}, {"unit": 2, "on": True}, {"all": True}],
    "explain": [{"image": 1}, {"image": None}],
    "draw": [{"image": 1}, {"buffers": [bytes(196)]}, {"clear": True}],
    "snapshot": [{"on": True}, {"on": False}],
}


@pytest.fixture
def ask(front_end, make, small):
    playground = Playground(make(), small, sliders=("rho", "beta", "lam2"))
    view = front_end.view()
    yield lambda do, buffers=(), **more: view(do, *buffers, **more)
    playground.close()


def sizes(setup):
    """What the names of dimensions in the table mean."""
    return {
        "tiles": setup["tiles"],
        "units": setup["units"],
        "images": setup["images"],
        "pixels": math.prod(setup["image_shape"]),
        "validation images": setup["validation_images"],
        "9": 9,
    }


def assert_fits(name, buffer, size):
    """Its length is that of one of the shapes in the table."""
    kind = "curve_kl" if name.startswith("curve_") and name != "curve_steps" else name
    said = BUFFERS[kind]
    if said.startswith("as without"):
        said = BUFFERS[name.removeprefix("old_")]
    item = int(re.search(r"(?:uint|int|float)(\d+)", said)[1]) // 8
    lengths = []
    for shape in re.findall(r"\(([^)]*)\)", said):
        parts = [part for part in shape.split(", ") if part.strip(",")]
        lengths.append(item * math.prod(size[part.strip(",")] for part in parts))
    assert len(buffer) in lengths, (name, said)


def test_the_tables_say_what_python_is_asked():
    assert {name for row in table("`do`") for name in names(row[0])} == ASKED.keys()
    assert {"uint8 (images, pixels)", "int32 (points,)"} <= set(BUFFERS.values())


@pytest.mark.parametrize("do", ASKED)
def test_every_request_is_answered_by_one_frame_as_it_stands_there(do, ask):
    setup = ask("hello")[0]["setup"]
    ask("step")
    for more in ASKED[do]:
        content, buffers = ask(do, touched=True, places={"0": 3}, **more)
        json.dumps(content, allow_nan=False)
        assert content.keys() == FRAME.keys() - ({"setup"} if do != "hello" else set())
        assert content["v"] == 1 and content["kind"] == "frame"
        assert not content["note"].startswith("Paused: ")
        assert len(set(content["buffers"])) == len(buffers)
        arrays = dict(zip(content["buffers"], buffers, strict=True))
        size = sizes(setup) | {"points": len(arrays["curve_steps"]) // 4}
        size["bins"] = len(arrays.get("unit_counts", b"")) // 4
        size["explained"] = len((content["explained"] or {"units": []})["units"])
        for name, buffer in arrays.items():
            assert_fits(name, buffer, size)


def test_every_name_in_the_tables_is_sent(ask):
    for do, more in [
        ("look", {"unit": 2}),
        ("explain", {"image": 1}),
        ("draw", {"image": 1}),
        ("snapshot", {"on": True}),
    ]:
        ask(do, **more)
    content, _ = ask("hello")
    sent = {"curve_" if name.startswith("curve_") else name for name in content["buffers"]}
    written = {"curve_" if name.startswith("curve_") else name for name in BUFFERS}
    assert sent == written
    setup = TEXT[TEXT.index("`setup`: ") :].split("\n\n")[0].removeprefix("`setup`: ")
    assert content["setup"].keys() == set(names(setup))
