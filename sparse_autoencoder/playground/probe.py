"""Lesson 05's playground: choose features and a number of labels, and watch a linear probe.

    ProbeExplorer(features, data)

as the last line of a cell. Each choice trains a logistic regression at once, on labels drawn for
it, and judges it on validation images; what was tried stays in a table.
"""

import html
import threading

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np

from .. import measures
from ..figures import FIGURE_SIZES, show_images
from ..pngs import images_png
from .controls import WIDE, Panel, pixels

LABELS_PER_CLASS = (1, 2, 3, 5, 10, 20, 30, 50, 100)
SHOWN = 10  # labelled images of a class, and wrong guesses, that are shown
STYLE = """<style>
.probe .probe-drawn, .probe .probe-wrong { image-rendering: pixelated; }
.probe table { border-collapse: collapse; }
.probe th, .probe td { padding: 2px 8px; text-align: right; border-bottom: 1px solid #8888; }
.probe :focus-visible { outline: 2px solid #0072B2; outline-offset: 2px; }
</style>"""


class ProbeExplorer(Panel):
    """A dropdown of features, a slider of labels per class and the draw's number, with a probe.

    Args:
        features: name → function from images, (n, pixels), to features, (n, units).
        data: images.ImageData; probes are trained on training images and judged on validation.
    """

    def __init__(self, features, data):
        self.data = data
        self._encode = features
        self._codes = {}  # name → features of training and validation images, made when needed
        self._tried = {}  # (name, labels per class) → {draw: accuracy}
        self._lock = threading.Lock()
        self._status, self._table, self._guesses = (widgets.HTML() for _ in range(3))
        self._drawn, self._wrong = pixels("probe-drawn"), pixels("probe-wrong")
        columns = [
            [widgets.HTML("<b>All it was told</b>"), self._drawn],
            [widgets.HTML("<b>Some it gets wrong</b>"), self._wrong, self._guesses],
            [widgets.HTML("<b>Tried so far</b>, % right (draws)"), self._table],
        ]
        row = widgets.HBox(
            [widgets.VBox(column) for column in columns],
            layout={"flex_flow": "row wrap", "grid_gap": "8px 24px"},
        )
        super().__init__([widgets.HTML(STYLE), *self._build_controls(), self._status, row])
        self.add_class("probe")
        self._on_choice()

    def _build_controls(self):
        few = np.bincount(self.data.y_train).min()
        counts = [n for n in LABELS_PER_CLASS if n <= few]
        self._name = widgets.Dropdown(options=list(self._encode), description="features", **WIDE)
        self._labels = widgets.SelectionSlider(
            options=counts,
            value=max(n for n in counts if n <= 10),
            description="labels per class",
            **WIDE,
        )
        self._draw_number = widgets.BoundedIntText(0, 0, 999, description="draw of labels", **WIDE)
        controls = {"features": self._name, "labels": self._labels, "draw": self._draw_number}
        for name, control in controls.items():
            control.add_class(f"probe-{name}")
            control.observe(self._on_choice, "value")
        return controls.values()

    @property
    def choice(self):
        """The features' name, the labels per class and the draw's number that are chosen."""
        return self._name.value, self._labels.value, self._draw_number.value

    def _on_choice(self, _=None):
        """Train the chosen probe; a choice that was left again meanwhile is skipped."""
        done = None
        while done != self.choice:
            if not self._lock.acquire(blocking=False):
                return  # the call that is at work sees the new choice
            try:
                done = self.choice
                self._say("Training a probe …", "busy")
                self._show(*done)
            except Exception as error:  # which would vanish into a log
                self._say(f"{type(error).__name__}: {error}", "failed")
            finally:
                self._lock.release()

    def try_out(self, name, labels_per_class, draw=0):
        """Accuracy, between 0 and 1, on validation images; it is added to the table."""
        _, accuracy = self._probe(name, labels_per_class, draw)
        self._table.value = self._tried_as_html()
        return accuracy

    def still(self):
        """A matplotlib figure of what it shows, for those who read without running."""
        choice = self.choice
        probe, accuracy = self._probe(*choice)
        drawn, columns, wrong, guesses = self._pictures(probe, *choice)
        fig, (left, right) = plt.subplots(1, 2, figsize=FIGURE_SIZES["wide"])
        shape = self.data.image_shape
        show_images(drawn, columns, shape, "all it was told", left)
        show_images(wrong, 5, shape, "some it gets wrong", right)
        right.set_xlabel("\n".join(guesses))
        fig.suptitle(self._sentence(*choice, accuracy), fontsize=10)
        return fig

    def _probe(self, name, labels_per_class, draw):
        """The trained probe and its accuracy, which is noted."""
        if name not in self._codes:
            parts = (self.data.x_train, self.data.x_validation)
            self._codes[name] = [np.asarray(self._encode[name](x)) for x in parts]
        train, validation = self._codes[name]
        probe = measures.fit_probe(train, self.data.y_train, labels_per_class, [draw])
        accuracy = probe.score(validation, self.data.y_validation)
        self._tried.setdefault((name, labels_per_class), {})[draw] = accuracy
        return probe, accuracy

    def _show(self, name, labels_per_class, draw):
        probe, accuracy = self._probe(name, labels_per_class, draw)
        shape = self.data.image_shape
        drawn, columns, wrong, guesses = self._pictures(probe, name, labels_per_class, draw)
        self._drawn.value = images_png(drawn, columns, shape)
        self._wrong.value = images_png(wrong, 5, shape, scale=2)
        self._guesses.value = "<br>".join(guesses)
        self._table.value = self._tried_as_html()
        words = self._sentence(name, labels_per_class, draw, accuracy)
        self._say(words, "done", accuracy=accuracy)

    def _pictures(self, probe, name, labels_per_class, draw):
        """Labelled images and how many stand in a row; wrongly guessed images and lines of text."""
        rows = measures.draw_labels(self.data.y_train, labels_per_class, [draw])
        columns = min(labels_per_class, SHOWN)
        rows = rows.reshape(-1, labels_per_class)[:, :columns].ravel()
        answers, guesses = self.data.y_validation, probe.predict(self._codes[name][1])
        wrong = np.flatnonzero(guesses != answers)[:SHOWN]
        pairs = [f"{answers[i]} as {guesses[i]}" for i in wrong]
        lines = [", ".join(pairs[i : i + 5]) for i in range(0, len(pairs), 5)]
        return self.data.x_train[rows], columns, self.data.x_validation[wrong], lines

    def _sentence(self, name, labels_per_class, draw, accuracy):
        return (
            f"{name}, {labels_per_class} labels per class, draw {draw}: {100 * accuracy:.1f} % of "
            f"{len(self.data.y_validation):,} validation images right."
        )

    def _tried_as_html(self):
        tried = {key: dict(draws) for key, draws in list(self._tried.items())}
        counts = sorted({count for _, count in tried})
        lines = [["labels per class", *map(str, counts)]]
        for name in dict.fromkeys(name for name, _ in tried):
            line = [name]
            for count in counts:
                shares = list(tried.get((name, count), {}).values())
                line.append(f"{100 * np.mean(shares):.1f} ({len(shares)})" if shares else "")
            lines.append(line)
        head, *body = (
            "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in line)
            for tag, line in zip(["th"] + ["td"] * (len(lines) - 1), lines, strict=True)
        )
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in body)}</table>"

    def _say(self, words, state, **facts):
        attributes = "".join(f' data-{name}="{value}"' for name, value in facts.items())
        self._status.value = (
            f'<div class="probe-status" role="status" data-state="{state}"{attributes}>'
            f"{html.escape(words)}</div>"
        )
