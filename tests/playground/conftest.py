"""What the tests of the playground share: small models, and a way to its widgets."""

import copy
import functools
import itertools
import threading
from dataclasses import replace

import comm
import numpy as np
import pytest
from comm.base_comm import BaseComm

from sparse_autoencoder import KLSparsity, L1Sparsity, build_autoencoder, keras, modern, tf
from sparse_autoencoder.playground.engine import LiveTraining

UNITS, PIXELS = 30, 196


def sequential():
    layers = [
        keras.Input((PIXELS,)),
        keras.layers.Dense(UNITS, activation="sigmoid", name="encoder"),
        keras.layers.Dense(PIXELS, activation="sigmoid", name="decoder"),
    ]
    return keras.Sequential(layers)


def linear(sparsity, **how):
    return build_autoencoder(UNITS, "linear", "linear", sparsity=sparsity, pixels=PIXELS, **how)


MAKERS = {
    "kl": lambda: build_autoencoder(
        UNITS, sparsity=KLSparsity(0.1, 0.5), lam2=0.001, pixels=PIXELS
    ),
    "relu": lambda: build_autoencoder(
        UNITS, activation="relu", sparsity=L1Sparsity(0.1), lam2=0.001, pixels=PIXELS
    ),
    "sequential": sequential,
    "topk": lambda: linear(modern.TopK(5), unit_norm=True),
    "jumprelu": lambda: linear(modern.JumpReLU(0.1), unit_norm=True),
    "gated": lambda: linear(L1Sparsity(0.1), kind=modern.GatedAutoencoder),
    "reviving": lambda: linear(modern.TopK(5), kind=modern.RevivingAutoencoder),
}


@pytest.fixture(scope="session")
def make():
    """Makes a small model of a kind, a name in MAKERS."""
    return lambda kind="kl": MAKERS[kind]()


@pytest.fixture(scope="session")
def small(digits):
    """The digits with every other row and column alone, 14 × 14 pixels: quick to train on."""
    parts = {name: getattr(digits, name) for name in ("x_train", "x_validation", "x_test")}
    halved = {
        name: np.ascontiguousarray(x.reshape(-1, 28, 28)[:, ::2, ::2]).reshape(-1, PIXELS)
        for name, x in parts.items()
    }
    return replace(digits, image_shape=(14, 14), **halved)


@pytest.fixture(scope="session")
def compiled(make, small):
    """One engine for many tests, since compiling takes seconds."""
    return LiveTraining(make(), small)


@pytest.fixture
def eagerly():
    """Nothing is compiled, which takes longer than a few steps do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def find():
    """Finds the widget of a panel that has a CSS class, or whose HTML has an element with it."""

    def search(widget, name, html=False):
        value = getattr(widget, "value", "")
        if f'class="{name}"' in str(value) if html else name in widget._dom_classes:
            return widget
        found = (search(child, name, html) for child in getattr(widget, "children", ()))
        return next(filter(None, found), None)

    return search


class FrontEnd:
    """A page without a browser: it sees what a page would, and answers as one.

    Attributes:
        states: id of a widget → its state, as a page knows it.
        sent: (id, content, buffers) of each custom message that reached it.
        threads: that anything came from.
    """

    def __init__(self):
        self.comms, self.states, self.sent, self.threads = {}, {}, [], set()

    def receive(self, comm, kind, data, buffers):
        self.threads.add(threading.get_ident())
        if kind == "comm_open":
            self.comms[comm.comm_id] = comm
            self.states[comm.comm_id] = {}
        if kind == "comm_close":
            del self.states[comm.comm_id]
        elif data.get("method") == "custom":
            self.sent.append((comm.comm_id, data["content"], buffers))
        elif "state" in data:
            state = copy.deepcopy(data["state"])
            for path, buffer in zip(data["buffer_paths"], buffers or (), strict=True):
                part = functools.reduce(lambda part, key: part[key], path[:-1], state)
                part[path[-1]] = bytes(buffer)
            self.states[comm.comm_id] |= state

    def find(self, name, value):
        """The ids of the widgets of which a trait has this value, or holds it."""

        def fits(state):
            return state.get(name) == value or value in (state.get(name) or ())

        return [model for model, state in self.states.items() if fits(state)]

    def view(self, kind="playground"):
        """A function that asks the view's engine something, and gives content and buffers."""
        (model,) = self.find("kind", kind)
        numbers = itertools.count(1)

        def ask(do, *buffers, view="a", **more):
            n = next(numbers)
            content = {"v": 1, "view": view, "n": n, "do": do, **more}
            self.tell(model, {"method": "custom", "content": content}, buffers)
            answers = [a for a in self.sent if (a[1].get("view"), a[1].get("n")) == (view, n)]
            assert len(answers) == 1
            return answers[0][1:]

        return ask

    def move(self, name, index):
        """Put the slider with this CSS class to a place."""
        (model,) = self.find("_dom_classes", name)
        self.tell(model, {"method": "update", "state": {"index": index}, "buffer_paths": []})

    def tell(self, model, data, buffers=()):
        self.comms[model].handle_msg({"content": {"data": data}, "buffers": list(buffers)})


@pytest.fixture
def front_end(monkeypatch):
    """What widgets made from here on are shown by."""
    page = FrontEnd()

    class Comm(BaseComm):
        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            page.receive(self, msg_type, data or {}, buffers)

    monkeypatch.setattr(comm, "create_comm", lambda **how: Comm(**how))
    return page
