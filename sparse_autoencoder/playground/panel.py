"""The playground: an autoencoder that trains while one moves the sliders.

    Playground(model, data, sliders=("rho", "beta", "lam2"))

as the last line of a cell. It plays with a copy; the model itself is never touched.

The sliders are widgets of the notebook; all else is drawn, and clocked, by view.js in the page.
"""

import functools

import ipywidgets as widgets
import numpy as np

from ..pngs import features_png, images_png
from ..vocabulary import HYPERPARAMETERS, PRESETS
from .controls import WRAP, Panel, Slider, View
from .engine import PICTURED, LiveTraining, rounded
from .frames import COLUMNS, TILES, Frames
from .session import Session
from .still import still

THIS_LESSON = "this lesson's settings"
WITHOUT = "<code>playground.train(1000)</code> trains, and <code>playground.still()</code> draws."


class Playground(Panel):
    """Sliders and a live view of a copy of an autoencoder.

    Args:
        model: an Autoencoder, or a Sequential with a layer named "encoder".
        data: images.ImageData; every figure is of its first 1,000 validation images.
        sliders: hyperparameters that can be changed: keys of the vocabulary, as far as the model
            has them.
        learning_rate: of Adam, at the start.
        seed: of the first weights and of the batches' order.
        idle_minutes: it pauses by itself when nothing was touched for so long.
        start: sets first weights of its own: see LiveTraining.

    Attributes:
        training: the engine.LiveTraining it plays with.
        session: the session.Session that answers the view.

    Raises:
        ValueError: the model has no such hyperparameter, or does not fit the images.
    """

    def __init__(
        self,
        model,
        data,
        sliders=("learning_rate",),
        learning_rate=3e-3,
        seed=0,
        idle_minutes=10,
        start=None,
    ):
        self.training = LiveTraining(model, data, learning_rate, seed, start=start)
        now = self.training.hyperparameters
        self.training.set(**{name: now.get(name) for name in sliders})  # refuses what it lacks
        self.image_shape = data.image_shape
        presets = {
            title: {name: rounded(preset[name]) for name in sliders}
            for title, preset in ({THIS_LESSON: now} | PRESETS).items()
            if set(sliders) <= set(preset)
        }
        grids = {
            name: sorted({*HYPERPARAMETERS[name].grid, *(p[name] for p in presets.values())})
            for name in sliders
        }
        self.session = Session(
            self.training,
            Frames(self.training, self.image_shape, sliders),
            send=lambda content, buffers: self._view.send(content, buffers),
            move=self._move_sliders,
            place=self._place_slider,
            presets=presets,
            idle_minutes=idle_minutes,
        )
        self._sliders = {name: self._slider(name, grid) for name, grid in grids.items()}
        content, buffers = self.session.frame("hello")
        self._view = View(kind="playground", first={"content": content, "buffers": buffers})
        self._view.on_msg(lambda _, content, buffers: self.session.answer(content, buffers))
        links = self._view.follow(*((slider, "index") for slider in self._sliders.values()))
        row = widgets.HBox(list(self._sliders.values()), layout=WRAP)
        super().__init__([row, *self._view.or_else(WITHOUT, *self._still_pngs())], links)
        self.add_class("playground")

    @property
    def figures(self):
        """The figures of the moment that is shown: see LiveTraining.measure."""
        return self.session.figures

    def train(self, steps, **hyperparameters):
        """Take some steps at once, as if Train were pressed, after changing hyperparameters.

        Returns:
            the figures after them: see LiveTraining.measure.
        """
        with self.session.lock:
            self.session.set(**hyperparameters)
            self.session.take(steps)
        return self.figures

    def set(self, **hyperparameters):
        """Change hyperparameters, all or none, and move their sliders."""
        self.session.set(**hyperparameters)

    def pause(self):
        """Stop training after the present slice."""
        self.session.pause()

    def reset(self, seed=None):
        """Back to the first weights of this seed, or another one; hyperparameters stay."""
        self.session.reset(seed)

    def still(self, steps=1000):
        """A matplotlib figure of what it shows after so many steps from the start.

        For those who read without running; whatever is being played with goes on from where it is.
        """
        with self.session.lock:
            self.session.set()  # what the sliders show
            return still(self.training, steps, self.image_shape)

    def close(self):
        """Stop, and remove every widget from the page."""
        if self.comm is not None:
            self.session.close()
            super().close()

    def _slider(self, name, grid):
        slider = Slider(name, grid, self.training.hyperparameters[name])
        moved = functools.partial(self.session.change, name)
        slider.observe(lambda change: moved(change["new"]), "value")
        return slider.add_class(f"playground-{name.replace('_', '-')}")

    def _place_slider(self, number, place):
        slider = list(self._sliders.values())[number]
        if slider.index != place:
            # As its own message would do: the page, which may be further by now, is not put back.
            slider.set_state({"index": place})

    def _move_sliders(self, values):
        for name, slider in self._sliders.items():
            if name in values:
                slider.move(rounded(values[name]))

    def _still_pngs(self):
        training = self.training
        pairs = np.concatenate([training.shown[:PICTURED], training.reconstructions[:-1]])
        yield features_png(training.features[:, :TILES], COLUMNS, self.image_shape)
        yield images_png(pairs, len(pairs) // 2, self.image_shape)
