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

STYLE = """<style>
.playground .playground-pixels { image-rendering: pixelated; }
.playground .playground-hidden { position: absolute; clip-path: inset(50%); }
.playground .widget-box, .playground .widget-html { overflow: visible; }
.playground .widget-html-content { line-height: 1.35; }
.playground :focus-visible { outline: 2px solid #0072B2; outline-offset: 2px; }
</style>"""

NARROW = {"style": {"description_width": "initial"}}
THIS_LESSON = "this lesson's settings"


def _guarded(callback):
    """A callback that notes the touch, and says in the status line what it could not do."""

    @functools.wraps(callback)
    def run(self, *args):
        self.loop.touch()
        try:
            callback(self, *args)
        except (Exception, KeyboardInterrupt) as error:
            self.loop.fail(error)

    return run


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
        self.training.check(**{name: now.get(name) for name in sliders})
        super().__init__()
        self.image_shape = data.image_shape
        self.loop = Loop(self.training, self, idle_minutes)
        self._announced = self.loop.clock()
        # Shown nowhere: the browser copies the one to the other, which says that it has come so far
        self._frame, self._answer = widgets.IntText(0), widgets.IntText(0)
        self._link = widgets.jsdlink((self._frame, "value"), (self._answer, "value"))
        self._answer.observe(lambda change: self.loop.answer(change["new"]), "value")
        self.children = [
            widgets.HTML(STYLE),
            self._build_buttons(seed, sliders),
            self._build_sliders(sliders),
            *self._build_status(),
            self._build_pictures(),
            widgets.VBox([self._frame, self._answer], layout={"display": "none"}),
        ]
        self.add_class("playground")
        # ipywidgets calls this trait experimental: from here on the page counts the views.
        self._view_count = 0
        self.observe(self._on_views, "_view_count")
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
        self.loop.set()  # what the sliders show
        with self.loop.lock:
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
        self._features.value = features_png(training.features[:, :MOST], COLUMNS, self.image_shape)
        pairs = [training.shown[:COLUMNS], training.reconstructions[:COLUMNS]]
        self._images.value = images_png(np.concatenate(pairs), COLUMNS, self.image_shape)
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

    def _build_buttons(self, seed, sliders):
        self._train_button = _button(widgets.Button, "Train", "Train or pause", "play")
        self._train_button.on_click(self._on_train)
        self._step_button = _button(
            widgets.Button, "Step", "Take one training step", "step-forward"
        )
        self._step_button.on_click(self._on_step)
        reset = _button(widgets.Button, "Reset", "Start again from the first weights", "undo")
        reset.on_click(self._on_reset)
        self._snapshot_button = _button(
            widgets.ToggleButton, "Snapshot", "Keep this state for comparison", "camera"
        )
        self._snapshot_button.observe(self._on_snapshot, "value")
        seeds = widgets.BoundedIntText(seed, 0, 999, description="Seed", **NARROW)
        seeds.layout.width = "100px"
        seeds.observe(self._on_seed, "value")
        speed = widgets.Dropdown(
            options=list(SPEEDS), value=self.loop.speed, description="Speed", **NARROW
        )
        speed.layout.width = "auto"
        speed.observe(self._on_speed, "value")
        preset = self._build_presets(sliders)
        for control, name in ((seeds, "seed"), (speed, "speed"), (preset, "preset")):
            control.add_class(f"playground-{name}")
        row = [self._train_button, self._step_button, reset]
        return widgets.HBox([*row, seeds, speed, preset, self._snapshot_button], layout=WRAP)

    def _build_presets(self, sliders):
        presets = {THIS_LESSON: self.training.hyperparameters} | PRESETS
        self._presets = {k: v for k, v in presets.items() if set(sliders) <= set(v)}
        preset = widgets.Dropdown(
            options=["choose", *self._presets], value="choose", description="Preset", **NARROW
        )
        preset.layout.width = "190px"
        preset.observe(self._on_preset, "value")
        return preset

    def _build_sliders(self, names):
        self._sliders = {}
        for name in names:
            offered = [rounded(preset[name]) for preset in self._presets.values()]
            slider = Slider(
                name,
                [*HYPERPARAMETERS[name].grid, *offered],
                self.training.hyperparameters[name],
            )
            slider.add_class(f"playground-{name.replace('_', '-')}")
            slider.observe(functools.partial(self._on_slider, name), "value")
            self._sliders[name] = slider
        return widgets.HBox(list(self._sliders.values()), layout=WRAP)

    def _build_status(self):
        self._status, self._announcement = widgets.HTML(), widgets.HTML()
        self._announcement.add_class("playground-hidden")
        return self._status, self._announcement

    def _build_pictures(self):
        self._features, self._images = _picture("features"), _picture("images")
        count = min(self.training.features.shape[1], MOST)
        title = widgets.HTML(f"<b>{count} features</b>, and originals over reconstructions")
        self._plots = widgets.HTML(layout={"width": f"{pictures.WIDTH}px"})
        mosaics = widgets.VBox([title, self._features, self._images])
        return widgets.HBox(
            [mosaics, self._build_snapshot(), self._plots, self._build_unit()],
            layout={"flex_flow": "row wrap", "grid_gap": "8px 16px"},
        )

    def _build_snapshot(self):
        self._old_features, self._old_images = _picture("old-features"), _picture("old-images")
        self._old_caption = widgets.HTML()
        title = widgets.HTML("<b>Snapshot</b>")
        parts = [title, self._old_features, self._old_images, self._old_caption]
        # At the left, else a wide caption would stretch the pictures.
        self._snapshot = widgets.VBox(
            parts, layout={"display": "none", "align_items": "flex-start"}
        )
        self._snapshot.add_class("playground-snapshot")
        return self._snapshot

    def _build_unit(self):
        last = self.training.features.shape[1] - 1
        self._unit = widgets.BoundedIntText(0, 0, last, description=f"Unit (0 to {last})", **NARROW)
        self._unit.layout.width = "190px"
        self._unit.add_class("playground-unit")
        self._unit.observe(self._on_unit, "value")
        self._unit_feature, self._unit_images = _picture("unit-feature"), _picture("unit-images")
        self._unit_caption = widgets.HTML()
        row = widgets.HBox([self._unit_feature, self._unit_images], layout={"grid_gap": "8px"})
        return widgets.VBox([self._unit, row, self._unit_caption])

    # What the reader touches

    @_guarded
    def _on_train(self, _):
        self.loop.toggle()

    @_guarded
    def _on_step(self, _):
        self.loop.take(1, "Took one step.")

    @_guarded
    def _on_reset(self, _):
        self.loop.reset()

    @_guarded
    def _on_seed(self, change):
        self.loop.reset(change["new"])

    @_guarded
    def _on_speed(self, change):
        self.loop.speed = change["new"]

    @_guarded
    def _on_slider(self, name, change):
        self.loop.change(name, change["new"])

    @_guarded
    def _on_preset(self, change):
        if change["new"] in self._presets:
            self._move_sliders(self._presets[change["new"]])
            change["owner"].value = "choose"

    @_guarded
    def _on_unit(self, _):
        with self.loop.lock:
            self._draw_unit()

    @_guarded
    def _on_snapshot(self, change):
        kept = change["new"]
        with self.loop.lock:
            if kept:
                self._old_features.value = self._features.value
                self._old_images.value = self._images.value
                self._old_caption.value = self._caption()
            self._snapshot.layout.display = "flex" if kept else "none"
            self._snapshot_button.description = "Forget snapshot" if kept else "Snapshot"

    @_guarded
    def _on_views(self, _):
        # A view more or less: reloaded, cleared, or run again. Nobody pressed Train there.
        if self.loop.playing:
            self.loop.pause("Paused, since the page was closed or loaded again. Train goes on.")

    def _move_sliders(self, values):
        for name, slider in self._sliders.items():
            if name in values:
                slider.move(rounded(values[name]))

    # What is shown

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
        self._unit_feature.value = features_png(
            self.training.features[:, [unit]], 1, self.image_shape, scale=4
        )
        self._unit_images.value = images_png(self.training.shown[strongest], 3, self.image_shape)
        self._unit_caption.value = (
            f'<div data-unit="{unit}">Its feature, and the nine images that<br>excite it most: '
            f"activation {code[strongest[0]]:.2f} to {code[strongest[-1]]:.2f}.<br>"
            f"Mean activation ρ̂ {code.mean():.3f}.</div>"
        )


def _button(kind, label, hint, icon):
    button = kind(description=label, tooltip=hint, icon=icon, layout={"width": "auto"})
    button.add_class(f"playground-{label.lower()}")
    return button


def _picture(name):
    picture = pixels(f"playground-{name}")
    picture.add_class("playground-pixels")
    return picture
