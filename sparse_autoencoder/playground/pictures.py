"""The playground's curves and histograms: plain numbers in, SVG text out, in milliseconds.

matplotlib takes ten times as long for a frame, and its state must not be used from a thread.
"""

import html
import itertools
import math

import numpy as np

from ..vocabulary import BLUE, GRAY, HYPERPARAMETERS, TERMS, VERMILION, value_in_words

WIDTH = 384  # of an SVG picture, in pixels
LEFT, RIGHT, TOP, BOTTOM = 46, 62, 18, 34  # margins around its axes

LINES = {
    "axis": 'stroke="currentColor"',
    "grid": 'stroke="currentColor" stroke-opacity=".15"',
    "mark": 'stroke="currentColor" stroke-opacity=".6" stroke-dasharray="2 2"',
    "target": f'stroke="{VERMILION}" stroke-width="2" stroke-dasharray="5 3"',
}


class Chart:
    """An SVG picture with axes, x from 0 to `last` and y from `low` to `high`; drawn bit by bit."""

    def __init__(self, last, low, high, x_label, height):
        self.last, self.low, self.high, self.height = last, low, high, height
        self.right, self.floor = WIDTH - RIGHT, height - BOTTOM
        self.parts = []
        self.line(LEFT, self.floor, self.right, self.floor, "axis")
        for tick in _ticks(last):
            self.text(self.x(tick), self.floor + 14, f"{tick:,.6g}", "middle")
        self.text((LEFT + self.right) / 2, self.floor + 29, x_label, "middle")

    def x(self, value):
        return LEFT + (self.right - LEFT) * value / self.last

    def y(self, value):
        share = (value - self.low) / (self.high - self.low)
        return self.floor - (self.floor - TOP) * share

    def line(self, x1, y1, x2, y2, kind):
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {LINES[kind]}/>'
        )

    def text(self, x, y, text, anchor="start"):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'
        )

    def grid(self, value, label):
        self.line(LEFT, self.y(value), self.right, self.y(value), "grid")
        self.text(LEFT - 5, self.y(value) + 4, label, "end")

    def circle(self, x, y, radius, color):
        x, y = self.x(x), self.y(y)
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{color}"/>')

    def svg(self, description):
        return (
            f'<svg role="img" aria-label="{html.escape(description)}" width="{WIDTH}" '
            f'height="{self.height}" viewBox="0 0 {WIDTH} {self.height}" font-size="11" '
            f'font-family="sans-serif" style="color: var(--jp-ui-font-color1, #333)">'
            f'<g fill="currentColor">{"".join(self.parts)}</g></svg>'
        )


def curves_svg(history, marks=()):
    """Each term of the loss over the steps, on a log axis.

    Args:
        history: list of (step, {term: value}); a term that is 0 is off and not drawn there.
        marks: list of (step, hyperparameter, value): where one was changed.
    """
    values = [v for _, terms in history for v in terms.values() if v > 0]
    high = math.ceil(math.log10(max(values, default=1)) + 1e-9)
    low = math.floor(math.log10(min(values, default=0.1)))
    low = max(min(low, high - 1), high - 5)  # beyond five decades a term counts for nothing
    last, latest = history[-1] if history else (0, {})
    chart = Chart(max(last, 1), low, high, "step", 210)

    def y(value):
        return chart.y(math.log10(max(value, 10.0**low)))

    for power in range(low, high + 1):
        chart.grid(power, f"{10.0**power:g}")
    labels = []
    for key, term in TERMS.items():
        dashes = " ".join(map(str, term.dashes))
        for points in _pieces(history, key):
            points = " ".join(f"{chart.x(step):.1f},{y(value):.1f}" for step, value in points)
            chart.parts.append(
                f'<polyline points="{points}" fill="none" stroke="{term.color}" '
                f'stroke-width="2" stroke-linecap="round" stroke-dasharray="{dashes}"/>'
            )
        if key in latest:
            off = latest[key] <= 0
            name = f"{term.label} off" if off else term.label
            labels.append([chart.floor if off else y(latest[key]), name])
    labels.sort()
    for above, label in itertools.pairwise(labels):
        label[0] = max(label[0], above[0] + 13)
    for place, name in labels:
        chart.text(chart.right + 4, place + 4, name)
    # At one place there is room for one mark: the last one stands for all.
    shown = {round(chart.x(step) / 34): (step, name, value) for step, name, value in marks}
    for step, name, value in shown.values():
        x = chart.x(step)
        chart.line(x, TOP, x, chart.floor, "mark")
        text = f"{HYPERPARAMETERS[name].symbol} {value_in_words(value)}"
        chart.text(x, TOP - 5, text, "start" if x < LEFT + 20 else "middle")
    return chart.svg("The terms of the loss over the training steps, on a log axis")


def _pieces(history, term):
    """The points (step, value) of a term, cut where it is off; a lone point is there twice."""
    for on, points in itertools.groupby(
        ((step, terms.get(term, 0)) for step, terms in history), key=lambda point: point[1] > 0
    ):
        points = list(points)
        if on:
            yield points * 2 if len(points) == 1 else points


def histogram_svg(values, upper, label, counted, target=None):
    """Histogram of values between 0 and `upper`.

    Args:
        values: (n,).
        upper: end of the x axis.
        label: of the x axis.
        counted: what has such a value, for the y axis.
        target: a value to mark with a dashed line.
    """
    counts, edges = np.histogram(np.clip(values, 0, upper), bins=50, range=(0, upper))
    most = max(counts.max(), 1)
    chart = Chart(upper, 0, most, label, 150)
    width = chart.x(edges[1]) - LEFT
    for edge, count in zip(edges, counts, strict=False):
        if count:
            top = chart.y(count)
            chart.parts.append(
                f'<rect x="{chart.x(edge):.1f}" y="{top:.1f}" width="{width:.1f}" '
                f'height="{chart.floor - top:.1f}" fill="{BLUE}"/>'
            )
    chart.text(LEFT - 5, TOP + 4, str(most), "end")
    chart.text(LEFT - 5, chart.floor, "0", "end")
    chart.parts.append(
        f'<text transform="translate(13 {(TOP + chart.floor) / 2}) rotate(-90)" '
        f'text-anchor="middle">{html.escape(counted)}</text>'
    )
    if target is not None:
        x = chart.x(target)
        chart.line(x, TOP - 4, x, chart.floor, "target")
        chart.text(x + 4, TOP + 2, f"target ρ = {target:g}")
    return chart.svg(f"Histogram: {counted} by {label}")


def scatter_svg(x_values, y_values, chosen, x_label, y_label):
    """All points, the chosen one large.

    Args:
        x_values: (n,), 0 or more.
        y_values: (n,).
        chosen: the number of a point.
        x_label: of the x axis.
        y_label: of the y axis.
    """
    low, high = math.floor(min(y_values)), math.ceil(max(y_values))
    if low == high:  # all the same: in the middle
        low, high = low - 1, high + 1
    chart = Chart(max(x_values) * 1.05 or 1, low, high, x_label, 300)
    for tick in _ticks(high - low):
        chart.grid(low + tick, f"{low + tick:g}")
    for number, (x, y) in enumerate(zip(x_values, y_values, strict=True)):
        if number != chosen:
            chart.circle(x, y, 3, GRAY)
    x, y = x_values[chosen], y_values[chosen]
    chart.circle(x, y, 7, VERMILION)
    chart.text(LEFT, TOP - 6, y_label)
    return chart.svg(f"{y_label} against {x_label}, chosen: {x:.2f} and {y:.1f}")


def _ticks(last):
    """About four round numbers from 0 to `last`."""
    step = 10.0 ** math.floor(math.log10(last / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if last / (step * factor) <= 5)
    return [i * step for i in range(int(last / step + 1e-9) + 1)]
