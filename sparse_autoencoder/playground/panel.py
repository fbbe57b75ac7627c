"""The playground: an autoencoder that trains while one moves the sliders.

    Playground(model, data, sliders=("rho", "beta", "lam2"))

as the last line of a cell. It plays with a copy; the model itself is never touched.

Here are its widgets; what they are told to do, the loop does.
"""

import functools
import html

import ipywidgets as widgets
import numpy as np

from ..pngs import features_png, images_png
from ..vocabulary import HYPERPARAMETERS, PRESETS, TERMS, value_in_words
from . import pictures
from .controls import WRAP, Panel, Slider, pixels
from .engine import LiveTraining, rounded
from .loop import SPEEDS, Loop
from .still import still

MOST = 196  # features that are shown
COLUMNS = 14  # of features, and of images
PICTURES = ("features", "images", "old-features", "old-images", "unit-feature", "unit-images")
NARROW = {"style": {"description_width": "initial"}}
THIS_LESSON = "this lesson's settings"


class Playground(Panel):
    """Sliders, buttons and live pictures around a copy of an autoencoder.

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
        loop: the loop.Loop that trains it.

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
        self.loop = Loop(self.training, self, idle_minutes)
        self._announced = self.loop.clock()
        # Shown nowhere: the browser copies the one to the other, which says that it has come so far
        self._frame, self._answer = widgets.IntText(0), widgets.IntText(0)
        self._link = widgets.jsdlink((self._frame, "value"), (self._answer, "value"))
        self._answer.observe(lambda change: self.loop.answer(change["new"]), "value")
        presets = {THIS_LESSON: now} | PRESETS
        self._presets = {name: p for name, p in presets.items() if set(sliders) <= set(p)}
        self._sliders = {name: self._build_slider(name) for name in sliders}
        self._status, self._announcement = widgets.HTML(), widgets.HTML()
        self._announcement.add_class("course-heard-only")
        super().__init__(
            [
                self._build_buttons(seed),
                widgets.HBox(list(self._sliders.values()), layout=WRAP),
                self._status,
                self._announcement,
                self._build_pictures(),
                widgets.VBox([self._frame, self._answer], layout={"display": "none"}),
            ]
        )
        self.add_class("playground")
        # ipywidgets calls this trait experimental: from here on the page counts the views.
        self._view_count = 0
        self.observe(lambda _: self._do(self._on_views), "_view_count")
        self.loop.draw()

    # What a reader can do, for cells and tests alike

    @property
    def figures(self):
        """The figures of the moment that is shown: see LiveTraining.measure."""
        return self.loop.figures

    def train(self, steps, **hyperparameters):
        """Take some steps at once, as if Train were pressed, after changing hyperparameters.

        Returns:
            the figures after them: see LiveTraining.measure.
        """
        with self.loop.lock:
            self.loop.pause()
            self.set(**hyperparameters)
            self.loop.take(steps)
        return self.figures

    def set(self, **hyperparameters):
        """Change hyperparameters, all or none, and move their sliders."""
        with self.loop.lock:
            self.loop.set(**hyperparameters)
            self._move_sliders(hyperparameters)

    def pause(self):
        """Stop training after the present slice."""
        self.loop.pause()

    def reset(self, seed=None):
        """Back to the first weights of this seed, or another one; hyperparameters stay."""
        self.loop.reset(seed)

    def still(self, steps=1000):
        """A matplotlib figure of what it shows after so many steps from the start.

        For those who read without running; whatever is being played with goes on from where it is.
        """
        with self.loop.lock:
            self.loop.set()  # what the sliders show
            return still(self.training, steps, self.image_shape)

    def close(self):
        """Stop, and remove every widget from the page."""
        if self.comm is not None:
            self.loop.close()
            self._link.close()
            super().close()

    # What the loop asks of its page

    def ask(self, number):
        """Have the browser answer with this number when it has come so far."""
        self._frame.value = number

    def draw(self, figures):
        """Send every picture."""
        training = self.training
        pairs = [training.shown[:COLUMNS], training.reconstructions[:COLUMNS]]
        self._show_picture("features", features_png, training.features[:, :MOST], COLUMNS)
        self._show_picture("images", images_png, np.concatenate(pairs), COLUMNS)
        histogram = training.histogram
        self._plots.value = (  # one message to the browser rather than two
            "<b>The terms of the loss</b>, on a log axis<br>"
            + pictures.curves_svg(training.history, training.marks)
            + f"<br><b>{histogram.label.capitalize()}</b><br>"
            + pictures.histogram_svg(*histogram)
        )
        # The closer look may lag behind: half a second for three messages less in each picture.
        if not self.loop.playing or self._frame.value % 4 == 0:
            self._draw_unit()

    def show(self):
        """Say how it stands; what a screen reader announces follows at most once a second."""
        loop = self.loop
        # The button says what pressing it would do; it has no state of its own.
        self._train_button.description = "Pause" if loop.playing else "Train"
        self._train_button.icon = "pause" if loop.playing else "play"
        self._train_button.disabled = self._step_button.disabled = loop.state == "broken"
        words = f"{self.training.in_words(loop.figures)}. {loop.note or 'Training.'}"
        facts = {"state": loop.state, **loop.figures, **self.training.hyperparameters}
        attributes = " ".join(
            f'data-{name.replace("_", "-")}="{value}"' for name, value in facts.items()
        )
        self._status.value = (
            f'<div class="playground-status" {attributes}>{html.escape(words)}<br>'
            f"<small>on {len(self.training.shown):,} validation images</small></div>"
        )
        if loop.clock() - self._announced >= 1 or not loop.playing:
            self._announced = loop.clock()
            self._announcement.value = f'<div role="status">{html.escape(words)}</div>'

    # The widgets

    def _do(self, action, *values):
        """What a reader touched; what it could not do is said in the status line."""
        self.loop.touch()
        try:
            action(*values)
        except (Exception, KeyboardInterrupt) as error:
            self.loop.fail(error)

    def _button(self, label, hint, icon, action):
        button = widgets.Button(
            description=label, tooltip=hint, icon=icon, layout={"width": "auto"}
        )
        button.on_click(lambda _: self._do(action))
        return button.add_class(f"playground-{label.lower()}")

    def _watched(self, name, control, action):
        control.observe(lambda change: self._do(action, change["new"]), "value")
        return control.add_class(f"playground-{name}")

    def _build_buttons(self, seed):
        def number(value, last, label, width):
            return widgets.BoundedIntText(
                value, 0, last, description=label, layout={"width": width}, **NARROW
            )

        def choice(label, options, width):
            return widgets.Dropdown(
                options=options, description=label, layout={"width": width}, **NARROW
            )

        loop, last = self.loop, self.training.code.shape[1] - 1
        self._train_button = self._button("Train", "Train or pause", "play", loop.toggle)
        step = functools.partial(loop.take, 1, "Took one step.")
        self._step_button = self._button("Step", "Take one training step", "step-forward", step)
        self._preset = choice("Preset", ["choose", *self._presets], "190px")
        speed = choice("Speed", list(SPEEDS), "auto")
        speed.value = loop.speed
        self._snapshot_button = widgets.ToggleButton(
            description="Snapshot",
            tooltip="Keep this state for comparison",
            icon="camera",
            layout={"width": "auto"},
        )
        self._unit = number(0, last, f"Unit (0 to {last})", "190px")
        self._watched("unit", self._unit, self._on_unit)
        row = [
            self._train_button,
            self._step_button,
            self._button("Reset", "Start again from the first weights", "undo", loop.reset),
            self._watched("seed", number(seed, 999, "Seed", "100px"), loop.reset),
            self._watched("speed", speed, functools.partial(setattr, loop, "speed")),
            self._watched("preset", self._preset, self._on_preset),
            self._watched("snapshot", self._snapshot_button, self._on_snapshot),
        ]
        return widgets.HBox(row, layout=WRAP)

    def _build_slider(self, name):
        offered = [rounded(preset[name]) for preset in self._presets.values()]
        values = [*HYPERPARAMETERS[name].grid, *offered]
        slider = Slider(name, values, self.training.hyperparameters[name])
        return self._watched(
            name.replace("_", "-"), slider, functools.partial(self.loop.change, name)
        )

    def _build_pictures(self):
        self._pictures = {name: pixels(f"playground-{name}") for name in PICTURES}
        features, images, old_features, old_images, *unit = self._pictures.values()
        count = min(self.training.features.shape[1], MOST)
        title = widgets.HTML(f"<b>{count} features</b>, and originals over reconstructions")
        self._old_caption, self._unit_caption = widgets.HTML(), widgets.HTML()
        old = [widgets.HTML("<b>Snapshot</b>"), old_features, old_images, self._old_caption]
        # At the left, else a wide caption would stretch the pictures.
        layout = {"display": "none", "align_items": "flex-start"}
        self._snapshot = widgets.VBox(old, layout=layout)
        self._plots = widgets.HTML(layout={"width": f"{pictures.WIDTH}px"})
        closer = widgets.HBox(unit, layout={"grid_gap": "8px"})
        columns = [
            widgets.VBox([title, features, images]),
            self._snapshot,
            self._plots,
            widgets.VBox([self._unit, closer, self._unit_caption]),
        ]
        return widgets.HBox(columns, layout={"flex_flow": "row wrap", "grid_gap": "8px 16px"})

    # What the reader touches

    def _on_preset(self, name):
        if name in self._presets:
            self._move_sliders(self._presets[name])
            self._preset.value = "choose"

    def _on_unit(self, _):
        with self.loop.lock:
            self._draw_unit()

    def _on_snapshot(self, kept):
        with self.loop.lock:
            if kept:
                for name in ("features", "images"):
                    self._pictures[f"old-{name}"].value = self._pictures[name].value
                self._old_caption.value = self._caption()
            self._snapshot.layout.display = "flex" if kept else "none"
            self._snapshot_button.description = "Forget snapshot" if kept else "Snapshot"

    def _on_views(self):
        # A view more or less: reloaded, cleared, or run again. Nobody pressed Train there.
        if self.loop.playing:
            self.loop.pause("Paused, since the page was closed or loaded again. Train goes on.")

    def _move_sliders(self, values):
        for name, slider in self._sliders.items():
            if name in values:
                slider.move(rounded(values[name]))

    # What is shown

    def _show_picture(self, name, draw, images, columns, **how):
        self._pictures[name].value = draw(images, columns, self.image_shape, **how)

    def _caption(self):
        """Of the snapshot: where it was taken, with which hyperparameters, and how it stood."""
        values = self.training.hyperparameters
        chosen = ", ".join(
            f"{HYPERPARAMETERS[name].symbol} {value_in_words(values[name])}"
            for name in self._sliders
        )
        terms = ", ".join(
            f"{TERMS[term].label} {value:.2f}" for term, value in self.training.terms.items()
        )
        return (
            f"At step {self.figures['step']:,}: {chosen};<br>{terms}, "
            f"{self.figures['active_units']:.1f} active units per image"
        )

    def _draw_unit(self):
        unit = self._unit.value
        code = self.training.code[:, unit]
        strongest = np.argsort(-code, kind="stable")[:9]
        feature = self.training.features[:, [unit]]
        self._show_picture("unit-feature", features_png, feature, 1, scale=4)
        self._show_picture("unit-images", images_png, self.training.shown[strongest], 3)
        self._unit_caption.value = (
            f'<div data-unit="{unit}">Its feature, and the nine images that<br>excite it most: '
            f"activation {code[strongest[0]]:.2f} to {code[strongest[-1]]:.2f}.<br>"
            f"Mean activation ρ̂ {code.mean():.3f}.</div>"
        )
