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
from .controls import WIDE, Onlooker, Panel, pixels

LABELS_PER_CLASS = (1, 2, 3, 5, 10, 20, 30, 50, 100)
SHOWN = 10  # labelled images of a class, and wrong guesses, that are shown


class ProbeExplorer(Panel):
    """A dropdown of features, a slider of labels per class and the draw's number, with a probe.

    Args:
        features: name → function from images, (n, pixels), to features, (n, units).
        data: images.ImageData; probes are trained on training images and judged on validation.
    """

    def __init__(self, features, data):
        self.data = data = measures.through_the_door(data)
        self._encode = features
        self._codes = {}  # name → features of training and validation images, made when needed
        self._tried = {}  # (name, labels per class) → {draw: accuracy}
        self._lock = threading.Lock()
        fewest = np.unique(data.y_train, return_counts=True)[1].min()
        counts = [n for n in LABELS_PER_CLASS if n <= fewest]
        usual = max(n for n in counts if n <= 10)
        self._controls = {
            "features": widgets.Dropdown(options=list(features), description="features", **WIDE),
            "labels": widgets.SelectionSlider(
                options=counts, value=usual, description="labels per class", **WIDE
            ),
            "draw": widgets.BoundedIntText(0, 0, 999, description="draw of labels", **WIDE),
        }
        for name, control in self._controls.items():
            control.add_class(f"probe-{name}")
            control.observe(self._on_choice, "value")
        numbers = [(self._controls[name], "index") for name in ("features", "labels")]
        self._numbers = [*numbers, (self._controls["draw"], "value")]
        self._waiting = Onlooker(kind="waiting")  # says so while the kernel does something else
        links = self._waiting.follow(*self._numbers)
        self._status, self._table, self._guesses = (widgets.HTML() for _ in range(3))
        self._drawn, self._wrong = pixels("probe-drawn"), pixels("probe-wrong")
        columns = [
            [widgets.HTML("<b>All it was told</b>"), self._drawn],
            [widgets.HTML("<b>Some it gets wrong</b>"), self._wrong, self._guesses],
            [widgets.HTML("<b>Tried so far</b>, % right (draws)"), self._table],
        ]
        layout = {"flex_flow": "row wrap", "grid_gap": "8px 24px"}
        row = widgets.HBox([widgets.VBox(column) for column in columns], layout=layout)
        super().__init__([*self._controls.values(), self._waiting, self._status, row], links)
        self.add_class("probe")
        self._on_choice()

    @property
    def choice(self):
        """The features' name, the labels per class and the draw's number that are chosen."""
        return tuple(control.value for control in self._controls.values())

    def try_out(self, name, labels_per_class, draw=0):
        """Accuracy, between 0 and 1, on validation images; it is added to the table."""
        accuracy = self._probe(name, labels_per_class, draw)[1]
        self._table.value = self._tried_as_html()
        return accuracy

    def still(self):
        """A matplotlib figure of what it shows, for those who read without running."""
        drawn, columns, wrong, guesses, words, _ = self._look(*self.choice)
        fig, (left, right) = plt.subplots(1, 2, figsize=FIGURE_SIZES["wide"])
        shape = self.data.image_shape
        show_images(drawn, columns, shape, "all it was told", left)
        show_images(wrong, 5, shape, "some it gets wrong", right)
        right.set_xlabel("\n".join(guesses))
        fig.suptitle(words, fontsize=10)
        return fig

    def _on_choice(self, _=None):
        """Train the chosen probe; a choice that was left again meanwhile is skipped."""
        done = None
        while done != self.choice:
            if not self._lock.acquire(blocking=False):
                return  # the call that is at work sees the new choice
            try:
                done = self.choice
                self._waiting.done = [getattr(*number) for number in self._numbers]
                self._say("Training a probe …", "busy")
                self._show(*done)
            except Exception as error:  # which would vanish into a log
                self._say(f"{type(error).__name__}: {error}", "failed")
            finally:
                self._lock.release()

    def _show(self, *choice):
        drawn, columns, wrong, guesses, words, accuracy = self._look(*choice)
        self._drawn.value = images_png(drawn, columns, self.data.image_shape)
        self._wrong.value = images_png(wrong, 5, self.data.image_shape, scale=2)
        self._guesses.value = "<br>".join(guesses)
        self._table.value = self._tried_as_html()
        self._say(words, "done", f' data-accuracy="{accuracy}"')

    def _say(self, words, state, facts=""):
        self._status.value = (
            f'<div class="probe-status" role="status" data-state="{state}"{facts}>'
            f"{html.escape(words)}</div>"
        )

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

    def _look(self, name, labels_per_class, draw):
        """What is shown of a choice.

        Returns:
            labelled images and how many stand in a row, wrongly guessed images and what they were
            taken for as lines of text, a sentence, the accuracy.
        """
        data = self.data
        probe, accuracy = self._probe(name, labels_per_class, draw)
        rows = measures.draw_labels(data.y_train, labels_per_class, [draw])
        columns = min(labels_per_class, SHOWN)
        rows = rows.reshape(-1, labels_per_class)[:, :columns].ravel()
        guesses = probe.predict(self._codes[name][1])
        wrong = np.flatnonzero(guesses != data.y_validation)[:SHOWN]
        pairs = [f"{data.y_validation[i]} as {guesses[i]}" for i in wrong]
        lines = [", ".join(pairs[i : i + 5]) for i in range(0, len(pairs), 5)]
        words = (
            f"{name}, {labels_per_class} labels per class, draw {draw}: {100 * accuracy:.1f} % of "
            f"{len(data.y_validation):,} validation images right."
        )
        return data.x_train[rows], columns, data.x_validation[wrong], lines, words, accuracy

    def _tried_as_html(self):
        tried = {key: list(draws.values()) for key, draws in list(self._tried.items())}
        counts = sorted({count for _, count in tried})
        lines = [["labels per class", *map(str, counts)]]
        for name in dict.fromkeys(name for name, _ in tried):
            shares = [tried.get((name, count), ()) for count in counts]
            cells = [f"{100 * np.mean(s):.1f} ({len(s)})" if s else "" for s in shares]
            lines.append([html.escape(name), *cells])
        rows = ("".join(f"<td>{cell}</td>" for cell in line) for line in lines)
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
