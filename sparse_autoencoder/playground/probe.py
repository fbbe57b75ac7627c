"""Lesson 05's playground: choose features and a number of labels, and watch a linear probe.

    ProbeExplorer(features, data)

as the last line of a cell. Each choice trains a logistic regression at once, on labels drawn for
it, and judges it on validation images; what was tried stays in a table.
"""

import html
import threading

import ipywidgets as widgets
import numpy as np

import live_pictures
import measures

LABELS_PER_CLASS = (1, 2, 3, 5, 10, 20, 30, 50, 100)
SHOWN = 10  # labelled images of a class, and wrong guesses, that are shown
STYLE = """<style>
.probe .probe-pixels { image-rendering: pixelated; }
.probe table { border-collapse: collapse; }
.probe th, .probe td { padding: 2px 8px; text-align: right; border-bottom: 1px solid #8888; }
.probe :focus-visible { outline: 2px solid #0072B2; outline-offset: 2px; }
</style>"""


class ProbeExplorer:
    """A dropdown of features, a slider of labels per class and the draw's number, with a probe.

    Args:
        features: name → function from images, (n, pixels), to features, (n, units).
        data: helpers.ImageData; probes are trained on training images and judged on validation.
    """

    def __init__(self, features, data):
        self.data = data
        self._encode = features
        self._codes = {}  # name → features of training and validation images, made when needed
        self._tried = {}  # (name, labels per class) → {draw: accuracy}
        self._lock = threading.Lock()
        few = np.bincount(data.y_train).min()
        counts = [n for n in LABELS_PER_CLASS if n <= few]
        wide = {"layout": {"width": "420px"}, "style": {"description_width": "150px"}}
        self._name = widgets.Dropdown(options=list(features), description="features", **wide)
        self._labels = widgets.SelectionSlider(
            options=counts, value=10, description="labels per class", **wide
        )
        self._draw_number = widgets.BoundedIntText(0, 0, 999, description="draw of labels", **wide)
        for control, name in (
            (self._name, "features"),
            (self._labels, "labels"),
            (self._draw_number, "draw"),
        ):
            control.add_class(f"probe-{name}")
            control.observe(self._on_choice, "value")
        self._status, self._table, self._guesses = (widgets.HTML() for _ in range(3))
        self._drawn, self._wrong = (widgets.Image(format="png") for _ in range(2))
        for picture in (self._drawn, self._wrong):
            picture.add_class("probe-pixels")
        self._drawn.add_class("probe-drawn")
        columns = [
            [widgets.HTML("<b>All it was told</b>"), self._drawn],
            [widgets.HTML("<b>Some it gets wrong</b>"), self._wrong, self._guesses],
            [widgets.HTML("<b>Tried so far</b>, % right (draws)"), self._table],
        ]
        row = widgets.HBox(
            [widgets.VBox(column) for column in columns],
            layout={"flex_flow": "row wrap", "grid_gap": "8px 24px"},
        )
        controls = [self._name, self._labels, self._draw_number]
        self.box = widgets.VBox([widgets.HTML(STYLE), *controls, self._status, row])
        self.box.add_class("probe")
        self._on_choice()

    def _ipython_display_(self):
        from IPython.display import display

        display(self.box)

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
        probe, accuracy = self._probe(name, labels_per_class, draw)
        self._table.value = self._tried_as_html()
        return accuracy

    def _probe(self, name, labels_per_class, draw):
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
        self._drawn.value = live_pictures.images_png(drawn, columns, shape)
        self._wrong.value = live_pictures.images_png(wrong, 5, shape, scale=2)
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

    def still(self):
        """A matplotlib figure of what it shows, for those who read without running."""
        import matplotlib.pyplot as plt

        import helpers

        choice = self.choice
        probe, accuracy = self._probe(*choice)
        drawn, columns, wrong, guesses = self._pictures(probe, *choice)
        fig, (left, right) = plt.subplots(1, 2, figsize=helpers.FIGURE_SIZES["wide"])
        shape = self.data.image_shape
        helpers.show_images(drawn, columns, shape, "all it was told", left)
        helpers.show_images(wrong, 5, shape, "some it gets wrong", right)
        right.set_xlabel("\n".join(guesses))
        fig.suptitle(self._sentence(*choice, accuracy), fontsize=10)
        return fig

    def _tried_as_html(self):
        counts = sorted({count for _, count in self._tried})
        lines = [["labels per class", *map(str, counts)]]
        for name in dict.fromkeys(name for name, _ in self._tried):
            line = [name]
            for count in counts:
                shares = list(self._tried.get((name, count), {}).values())
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
