"""The playground: an autoencoder that trains while one moves the sliders.

    Playground(model, data, sliders=("rho", "beta", "lam2"))

as the last line of a cell. It plays with a copy; the model itself is never touched.

A thread in the kernel trains and sends pictures. The browser acknowledges each one, through a link
between two widgets, before the next is sent: so pictures never queue up, and a page that is gone
stops the training. An answer that is lost is asked for again.
"""

import functools
import html
import threading
import time

import ipywidgets as widgets
import numpy as np

import live_pictures
from live_training import LiveTraining

# What a slider offers, and how it is labelled. 0 switches a term off.
GRIDS = {
    "learning_rate": [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1],
    "rho": [0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5],
    "beta": [0, 0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20],
    "lam2": [0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3],
    "lam1": [0, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1],
    "k": [1, 2, 5, 10, 15, 20, 25, 50, 100, 200],
    "lam0": [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1],
    "theta": [0, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2],
}
LABELS = {
    "learning_rate": "learning rate",
    "rho": "ρ, target activation",
    "beta": "β, KL weight",
    "lam2": "λ₂, L2 weight",
    "lam1": "λ₁, L1 weight",
    "k": "k, active units",
    "lam0": "λ₀, L0 weight",
    "theta": "θ, threshold",
}
# Other people's settings, in the course's units; UFLDL halves the SSE, so its weights count double.
PRESETS = {
    "the source's settings": {
        "learning_rate": 1e-4,
        "rho": 0.15,
        "beta": 0.5,
        "lam2": 0.01,
        "lam1": 0.001 / 196,
    },
    "UFLDL's settings": {"rho": 0.1, "beta": 6, "lam2": 0.006},
}
# Name → steps between two looks at the sliders, seconds between two pictures. While nobody touches
# anything it looks less often, for each look costs the training a moment.
SPEEDS = {"one step": (1, 0.3), "normal": (8, 0.11), "fast": (32, 0.5)}
UNTOUCHED = 2  # seconds without a touch

PATIENCE = 2  # seconds without an answer from the page until training waits for it
GIVE_UP = 60  # and until it pauses

STYLE = """<style>
.playground .playground-pixels { image-rendering: pixelated; }
.playground .playground-hidden { position: absolute; clip-path: inset(50%); }
.playground .widget-box, .playground .widget-html { overflow: visible; }
.playground .widget-html-content { line-height: 1.35; }
.playground :focus-visible { outline: 2px solid #0072B2; outline-offset: 2px; }
</style>"""

_shown_by = {}  # id of a notebook's cell → its playground


def _guarded(callback):
    """What a callback raises would vanish into a log: pause, and say it in the status line."""

    @functools.wraps(callback)
    def run(self, *args):
        self._touched = self.clock()
        try:
            callback(self, *args)
        except KeyboardInterrupt:
            self.pause("Paused, since the kernel was interrupted.")
        except Exception as error:
            self.pause(f"Paused: {error}")

    return run


class Playground:
    """Sliders, buttons and live pictures around a copy of an autoencoder.

    Args:
        model: an Autoencoder, or a Sequential with a layer named "encoder".
        data: helpers.ImageData; every figure is of its first 1,000 validation images.
        sliders: what can be changed: the names in LABELS, as far as the model has them.
        learning_rate: of Adam, at the start.
        seed: of the first weights and of the batches' order.
        idle_minutes: it pauses by itself when nothing was touched for so long.
        start: sets first weights of its own: see LiveTraining.

    Raises:
        ValueError: the model has no such setting, or does not fit the images.
    """

    clock = staticmethod(time.monotonic)  # a test sets another one

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
        unknown = [name for name in sliders if name not in self.training.settings]
        if unknown:
            self.training.set(**{unknown[0]: 0})  # raises, with the reason
        self.image_shape = data.image_shape
        self.idle_minutes = idle_minutes
        self._lock = threading.RLock()
        self._thread = None
        self._playing = False
        self._pending = {}
        self._touched = self._sent = self._announced = self.clock()
        self._state, self._note = "paused", "Ready: press Train."
        self._build(sliders, seed)
        self._draw()

    # What a reader can do, for cells and tests alike

    def train(self, steps, **settings):
        """Take some steps at once, as if Train were pressed, after changing some settings.

        Returns:
            the figures after them: see LiveTraining.measure.
        """
        self.pause()
        with self._lock:
            self.set(**settings)
            self.training.train(steps)
            self._draw()
        return self.figures

    def set(self, **settings):
        """Change settings, and move their sliders: name → value."""
        with self._lock:
            self.training.set(**settings)
            for name, value in settings.items():
                if name in self._sliders:
                    self._show_on_slider(self._sliders[name], value)

    def pause(self, note="Paused."):
        """Stop training after the present slice."""
        self._playing = False
        with self._lock:
            self._state, self._note = "paused", note
            self._train_button.value = False
            self._show_status()

    def reset(self, seed=None):
        """Back to the first weights of this seed, or another one; settings stay as they are."""
        with self._lock:
            self.training.reset(seed)
            self._note = "Back at the start." if not self._playing else ""
            self._draw()

    def still(self, steps=1000):
        """A matplotlib figure of what it shows after some steps from the start.

        For those who read without running; whatever is being played with goes on from where it is.
        """
        import matplotlib.pyplot as plt

        import helpers

        with self._lock:
            with self.training.aside() as training:
                training.reset()
                training.marks = []
                for _ in range(50):
                    training.train(steps // 50)
                    figures = training.measure()
                fig = plt.figure(figsize=helpers.FIGURE_SIZES["large"])
                left, right = fig.subfigures(1, 2, width_ratios=(1, 1.1))
                above, below = left.subplots(2, 1, height_ratios=(5, 1))
                count = 10
                helpers.show_features(training.features, 100, 10, self.image_shape, ax=above)
                pairs = np.concatenate([training.shown[:count], training.reconstructions[:count]])
                helpers.show_images(pairs, count, self.image_shape, ax=below)
                above.set_title(f"100 features after {training.step:,} steps")
                below.set_title("originals over reconstructions")
                curves, bars = right.subplots(2, 1)
                steps_taken = [step for step, _ in training.history]
                for term, (name, color, dashes) in helpers.TERMS.items():
                    values = [terms.get(term, 0) for _, terms in training.history]
                    if any(values):
                        curves.plot(steps_taken, values, label=name, color=color, linestyle=dashes)
                curves.set(xlabel="step", ylabel="loss term", yscale="log")
                curves.legend(loc="upper right")
                values, upper, label, unit, target = self._histogram()
                bars.hist(values, bins=50, range=(0, upper))
                bars.set(xlabel=label, ylabel=unit)
                if target is not None:
                    name = f"target ρ = {target:g}"
                    bars.axvline(target, color="#D55E00", linestyle="--", label=name)
                    bars.legend(loc="upper right")
                fig.suptitle(self._sentence(figures), fontsize=10)
            self.training.measure()
        return fig

    def close(self):
        """Stop, and remove every widget from the page."""
        self._playing = False
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)
        self.box.unobserve_all()
        for widget in self._all_widgets(self.box):
            widget.unobserve_all()
            widget.close()
        self._link.close()

    # The widgets

    def _build(self, sliders, seed):
        def image(label):
            picture = widgets.Image(format="png")
            picture.add_class("playground-pixels")
            picture.add_class(f"playground-{label}")
            return picture

        def button(kind, label, hint, **how):
            made = kind(description=label, tooltip=hint, layout={"width": "auto"}, **how)
            made.add_class(f"playground-{label.lower()}")
            return made

        self._train_button = button(widgets.ToggleButton, "Train", "Train or pause", icon="play")
        self._train_button.observe(self._on_train, "value")
        step = button(widgets.Button, "Step", "Take one training step", icon="step-forward")
        step.on_click(self._on_step)
        reset = button(widgets.Button, "Reset", "Start again from the first weights", icon="undo")
        reset.on_click(self._on_reset)
        self._snapshot_button = button(
            widgets.ToggleButton, "Snapshot", "Keep this state for comparison", icon="camera"
        )
        self._snapshot_button.observe(self._on_snapshot, "value")
        narrow = {"layout": {"width": "auto"}, "style": {"description_width": "initial"}}
        self._seed = widgets.BoundedIntText(seed, 0, 999, description="Seed", **narrow)
        self._seed.layout.width = "100px"
        self._seed.observe(self._on_seed, "value")
        self._speed = widgets.Dropdown(
            options=list(SPEEDS), value="normal", description="Speed", **narrow
        )
        self._speed.observe(self._on_touch, "value")

        now = self.training.settings
        presets = {"this lesson's settings": now} | PRESETS
        self._presets = {k: v for k, v in presets.items() if set(sliders) <= set(v)}
        self._preset = widgets.Dropdown(
            options=["choose", *self._presets], value="choose", description="Preset", **narrow
        )
        self._preset.layout.width = "190px"
        self._preset.observe(self._on_preset, "value")

        self._sliders = {}
        for name in sliders:
            offered = {float(f"{v[name]:.6g}") for v in self._presets.values()}
            slider = widgets.SelectionSlider(
                options=[(_words(v), v) for v in sorted({*GRIDS[name], *offered})],
                value=now[name],
                description=LABELS[name],
                layout={"width": "420px"},
                style={"description_width": "150px"},
            )
            slider.add_class(f"playground-{name.replace('_', '-')}")
            slider.observe(functools.partial(self._on_slider, name), "value")
            self._sliders[name] = slider

        self._status, self._announcement = widgets.HTML(), widgets.HTML()
        self._announcement.add_class("playground-hidden")
        self._features, self._images = image("features"), image("images")
        self._old_features, self._old_images = image("old-features"), image("old-images")
        self._old_caption = widgets.HTML()
        self._plots = widgets.HTML(layout={"width": f"{live_pictures.WIDTH}px"})
        units = self.training.features.shape[1]
        self._unit = widgets.BoundedIntText(
            0, 0, units - 1, description=f"Unit (0 to {units - 1})", **narrow
        )
        self._unit.layout.width = "190px"
        self._unit.add_class("playground-unit")
        self._unit.observe(self._on_unit, "value")
        self._unit_feature, self._unit_images = image("unit-feature"), image("unit-images")
        self._unit_caption = widgets.HTML()

        # Shown nowhere: the browser copies the one to the other, which says that it has come so far
        self._frame, self._answer = widgets.IntText(0), widgets.IntText(0)
        self._link = widgets.jsdlink((self._frame, "value"), (self._answer, "value"))

        def column(*children, **layout):
            return widgets.VBox(children, layout=layout)

        wrap = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 10px"}
        count = min(units, 196)
        self._snapshot = column(
            self._old_caption, self._old_features, self._old_images, display="none"
        )
        self._snapshot.add_class("playground-snapshot")
        self._picture_row = [
            column(
                widgets.HTML(f"<b>{count} features</b>, and originals over reconstructions"),
                self._features,
                self._images,
            ),
            self._snapshot,
            self._plots,
            column(
                self._unit,
                widgets.HBox([self._unit_feature, self._unit_images], layout={"grid_gap": "8px"}),
                self._unit_caption,
            ),
        ]
        self.box = widgets.VBox(
            [
                widgets.HTML(STYLE),
                widgets.HBox(
                    [
                        self._train_button,
                        step,
                        reset,
                        self._seed,
                        self._speed,
                        self._preset,
                        self._snapshot_button,
                    ],
                    layout=wrap,
                ),
                widgets.HBox(list(self._sliders.values()), layout=wrap),
                self._status,
                self._announcement,
                widgets.HBox(
                    self._picture_row,
                    layout={"flex_flow": "row wrap", "grid_gap": "8px 16px"},
                ),
                widgets.VBox([self._frame, self._answer], layout={"display": "none"}),
            ]
        )
        self.box.add_class("playground")
        self.box._view_count = 0  # from here on the page says how many views there are
        self.box.observe(self._on_views, "_view_count")

    @staticmethod
    def _all_widgets(widget):
        for child in getattr(widget, "children", ()):
            yield from Playground._all_widgets(child)
        yield widget
        yield widget.layout
        if hasattr(widget, "style") and isinstance(widget.style, widgets.Widget):
            yield widget.style

    def _ipython_display_(self):
        from IPython.display import display

        cell = _cell_id()
        if cell is not None and _shown_by.get(cell, self) is not self:
            _shown_by[cell].close()  # else a cell that is run again would train twice
        _shown_by[cell] = self
        display(self.box)

    # What the reader touches

    @_guarded
    def _on_train(self, change):
        if not change["new"]:
            if self._playing:
                self.pause()
            return
        if self._thread is not None:
            self._thread.join()  # paused a moment ago, it may be at its last slice still
        with self._lock:
            self._train_button.description, self._train_button.icon = "Pause", "pause"
            self._answer.value = self._frame.value  # whatever an earlier page did not answer
            self._sent = self.clock()
            self._playing = True
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    @_guarded
    def _on_step(self, _):
        self.pause()
        with self._lock:
            self._train_slice(1)
            self._note = "Took one step."
            self._draw()

    @_guarded
    def _on_reset(self, _):
        self.reset()

    @_guarded
    def _on_seed(self, change):
        self.reset(change["new"])

    @_guarded
    def _on_touch(self, _):
        pass  # that it was touched is noted already

    @_guarded
    def _on_slider(self, name, change):
        self._pending[name] = change["new"]
        if not self._playing:
            with self._lock:
                self._apply_pending()
                self._draw()

    @_guarded
    def _on_preset(self, change):
        if change["new"] in self._presets:
            for name, slider in self._sliders.items():
                self._show_on_slider(slider, self._presets[change["new"]][name])
            self._preset.value = "choose"

    @_guarded
    def _on_unit(self, _):
        with self._lock:
            self._draw_unit()

    @_guarded
    def _on_snapshot(self, change):
        with self._lock:
            if change["new"]:
                self._old_features.value = self._features.value
                self._old_images.value = self._images.value
                settings = ", ".join(
                    f"{live_pictures.SETTINGS[name]} {_words(self.training.settings[name])}"
                    for name in self._sliders
                )
                terms = ", ".join(
                    f"{live_pictures.TERMS[term][0]} {value:.2f}"
                    for term, value in self.training.terms.items()
                )
                self._old_caption.value = (
                    f"<b>Snapshot</b> at step {self.figures['step']:,}: {settings};<br>{terms}, "
                    f"{self.figures['active_units']:.1f} active units per image"
                )
            self._snapshot.layout.display = "flex" if change["new"] else "none"
            self._snapshot_button.description = "Forget snapshot" if change["new"] else "Snapshot"

    @_guarded
    def _on_views(self, change):
        # A view more or less: reloaded, cleared, or run again. Nobody pressed Train there.
        if self._playing:
            self.pause("Paused, since the page was closed or loaded again. Train goes on.")

    def _show_on_slider(self, slider, value):
        """Move a slider, which gets a place for the value if it has none."""
        value = float(f"{value:.6g}")
        if value not in [v for _, v in slider.options]:
            values = sorted({value, *(v for _, v in slider.options)})
            with slider.hold_trait_notifications():
                slider.options = [(_words(v), v) for v in values]
                slider.value = value
        slider.value = value

    # The thread

    def _work(self):
        note = "Paused."
        try:
            drawn = asked = -np.inf
            while self._playing:
                now = self.clock()
                if now - self._touched > 60 * self.idle_minutes:
                    note = f"Paused: nothing was touched for {self.idle_minutes:g} minutes."
                    break
                answered = self._answer.value >= self._frame.value
                if not answered and now - self._sent > GIVE_UP:
                    note = "Paused, since the page did not answer."
                    break
                if not answered and now - self._sent > PATIENCE:
                    self._state = "waiting"
                    if now - asked > PATIENCE:  # an interrupt of the kernel may swallow an answer
                        with self._lock:
                            self._frame.value += 1
                        asked = now
                    time.sleep(0.05)
                    continue
                steps, seconds = SPEEDS[self._speed.value]
                if steps > 1 and now - self._touched > UNTOUCHED:
                    steps = 32
                due = answered and (now - drawn >= seconds or self._pending)
                if due or steps > 1:
                    with self._lock:
                        if not self._playing:
                            break
                        self._apply_pending()
                        self._train_slice(steps)
                        self._state, self._note = "training", ""
                        if due:
                            self._draw()
                            drawn = now
                # Without this pause a callback that waits for the lock might never get it.
                time.sleep(0.001 if steps > 1 else 0.02)
        except Exception as error:
            note = f"Paused: {error}"
        if self._playing:
            self.pause(note)

    def _train_slice(self, steps):
        if not self.training.compiled:
            state, self._state = self._state, "compiling"
            self._note = "Compiling the training step: a few seconds, once."
            self._show_status()
            self._state = state
        self.training.train(steps)

    def _apply_pending(self):
        pending, self._pending = self._pending, {}
        self.training.set(**pending)

    # The pictures

    def _draw(self):
        """Measure, and send every picture; under the lock."""
        self.figures = self.training.measure()
        self._features.value = live_pictures.features_png(
            self.training.features[:, :196], 14, self.image_shape
        )
        count = 14
        pairs = [self.training.shown[:count], self.training.reconstructions[:count]]
        self._images.value = live_pictures.images_png(
            np.concatenate(pairs), count, self.image_shape
        )
        histogram = self._histogram()
        self._plots.value = (  # one message to the browser rather than two
            "<b>The terms of the loss</b>, on a log axis<br>"
            + live_pictures.curves_svg(self.training.history, self.training.marks)
            + f"<br><b>{histogram[2].capitalize()}</b><br>"
            + live_pictures.histogram_svg(*histogram)
        )
        # The closer look may lag behind: half a second for three messages less in each picture.
        if not self._playing or self._frame.value % 4 == 0:
            self._draw_unit()
        self._show_status()
        self._frame.value += 1
        self._sent = self.clock()

    def _histogram(self):
        """Values, upper end, labels and target of the histogram."""
        if self.training.activation == "sigmoid":
            target = self.training.settings.get("rho")
            return self.training.rho_hat, 1, "mean activation ρ̂", "hidden units", target
        units = self.training.code.shape[1]
        return self.training.active_units, units, "active units per image", "images", None

    def _draw_unit(self):
        unit = self._unit.value
        code = self.training.code[:, unit]
        strongest = np.argsort(-code, kind="stable")[:9]
        self._unit_feature.value = live_pictures.features_png(
            self.training.features[:, [unit]], 1, self.image_shape, scale=4
        )
        self._unit_images.value = live_pictures.images_png(
            self.training.shown[strongest], 3, self.image_shape
        )
        self._unit_caption.value = (
            f'<div data-unit="{unit}">Its feature, and the nine images that<br>excite it most: '
            f"activation {code[strongest[0]]:.2f} to {code[strongest[-1]]:.2f}.<br>"
            f"Mean activation ρ̂ {code.mean():.3f}.</div>"
        )

    def _sentence(self, figures):
        """The figures in words."""
        against = ""
        if "rho" in self.training.settings:
            against = f" against ρ {self.training.settings['rho']:g}"
        units = self.training.code.shape[1]
        return (
            f"Step {figures['step']:,}, epoch {figures['epoch']:.1f}: SSE {figures['sse']:.2f}, "
            f"mean ρ̂ {figures['mean_activation']:.3f}{against}, "
            f"{figures['active_units']:.1f} active units per image, "
            f"{figures['dead_units']} of {units} units dead"
        )

    def _show_status(self):
        """The status line; what a screen reader announces follows at most once a second."""
        # Pressed or not, the button says what pressing it would do.
        waiting_to_train = not self._train_button.value
        self._train_button.description = "Train" if waiting_to_train else "Pause"
        self._train_button.icon = "play" if waiting_to_train else "pause"
        figures = getattr(self, "figures", None) or self.training.measure()
        words = f"{self._sentence(figures)}. {self._note or 'Training.'}"
        facts = {"state": self._state, **figures, **self.training.settings}
        attributes = " ".join(
            f'data-{name.replace("_", "-")}="{value}"' for name, value in facts.items()
        )
        self._status.value = (
            f'<div class="playground-status" {attributes}>{html.escape(words)}<br>'
            f"<small>on {len(self.training.shown):,} validation images</small></div>"
        )
        if self.clock() - self._announced >= 1 or self._state == "paused":
            self._announced = self.clock()
            self._announcement.value = f'<div role="status">{html.escape(words)}</div>'


def _words(value):
    return "off" if value == 0 else f"{value:g}"


def _cell_id():
    """Which cell is being run, where the front end says so."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    parent = kernel.get_parent("shell") if kernel is not None else {}
    return parent.get("metadata", {}).get("cellId")
