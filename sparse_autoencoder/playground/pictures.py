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


def curves_svg(history, marks=(), height=210):
    """Each term of the loss over the steps, on a log axis.

    Args:
        history: list of (step, {term: value}); a term that is 0 is off and not drawn there.
        marks: list of (step, hyperparameter, value): where one was changed.
        height: of the picture, in pixels.
    """
    values = [v for _, terms in history for v in terms.values() if v > 0]
    top = math.ceil(math.log10(max(values, default=1)) + 1e-9)
    low = math.floor(math.log10(min(values, default=0.1)))
    low = max(min(low, top - 1), top - 5)  # beyond five decades a term counts for nothing
    last, latest = history[-1] if history else (0, {})
    last = max(last, 1)
    right, floor = WIDTH - RIGHT, height - BOTTOM

    def x(step):
        return LEFT + (right - LEFT) * step / last

    def y(value):
        share = (math.log10(max(value, 10.0**low)) - low) / (top - low)
        return floor - (floor - TOP) * share

    parts = [_axis_x(_ticks(last), x, floor, "step")]
    for power in range(low, top + 1):
        parts.append(_line(LEFT, y(10.0**power), right, y(10.0**power), "grid"))
        parts.append(_text(LEFT - 5, y(10.0**power) + 4, f"{10.0**power:g}", "end"))
    labels = []
    for key, term in TERMS.items():
        dashes = " ".join(map(str, term.dashes))
        for points in _pieces(history, key):
            points = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points)
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{term.color}" '
                f'stroke-width="2" stroke-linecap="round" stroke-dasharray="{dashes}"/>'
            )
        if key in latest:
            off = latest[key] <= 0
            name = f"{term.label} off" if off else term.label
            labels.append([floor if off else y(latest[key]), name])
    labels.sort()
    for above, label in zip(labels, labels[1:], strict=False):
        label[0] = max(label[0], above[0] + 13)
    parts += [_text(right + 4, place + 4, name) for place, name in labels]
    # At one place there is room for one mark: the last one stands for all.
    shown = {round(x(step) / 34): (step, name, value) for step, name, value in marks}
    for step, name, value in shown.values():
        parts.append(_line(x(step), TOP, x(step), floor, "mark"))
        text = f"{HYPERPARAMETERS[name].symbol} {value_in_words(value)}"
        anchor = "start" if x(step) < LEFT + 20 else "middle"
        parts.append(_text(x(step), TOP - 5, text, anchor))
    return _svg(parts, height, "The terms of the loss over the training steps, on a log axis")


def _pieces(history, term):
    """The points (step, value) of a term, cut where it is off; a lone point is there twice."""
    for on, points in itertools.groupby(
        ((step, terms.get(term, 0)) for step, terms in history), key=lambda point: point[1] > 0
    ):
        points = list(points)
        if on:
            yield points * 2 if len(points) == 1 else points


def histogram_svg(values, upper, label, counted, target=None, height=150):
    """Histogram of values between 0 and `upper`.

    Args:
        values: (n,).
        upper: end of the x axis.
        label: of the x axis.
        counted: what has such a value, for the y axis.
        target: a value to mark with a dashed line.
        height: of the picture, in pixels.
    """
    counts, edges = np.histogram(np.clip(values, 0, upper), bins=50, range=(0, upper))
    right, floor = WIDTH - RIGHT, height - BOTTOM
    most = max(counts.max(), 1)

    def x(value):
        return LEFT + (right - LEFT) * value / upper

    bars = "".join(
        f'<rect x="{x(edge):.1f}" y="{floor - (floor - TOP) * count / most:.1f}" '
        f'width="{x(edges[1]) - LEFT:.1f}" height="{(floor - TOP) * count / most:.1f}"/>'
        for edge, count in zip(edges, counts, strict=False)
        if count
    )
    parts = [_axis_x(_ticks(upper), x, floor, label), f'<g fill="{BLUE}">{bars}</g>']
    parts += [_text(LEFT - 5, TOP + 4, str(most), "end"), _text(LEFT - 5, floor, "0", "end")]
    parts.append(
        f'<text transform="translate(13 {(TOP + floor) / 2}) rotate(-90)" text-anchor="middle">'
        f"{html.escape(counted)}</text>"
    )
    if target is not None:
        parts.append(_line(x(target), TOP - 4, x(target), floor, "target"))
        parts.append(_text(x(target) + 4, TOP + 2, f"target ρ = {target:g}"))
    return _svg(parts, height, f"Histogram: {counted} by {label}")


def scatter_svg(x_values, y_values, chosen, x_label, y_label, height=300):
    """All points, the chosen one large.

    Args:
        x_values: (n,), 0 or more.
        y_values: (n,).
        chosen: the number of a point.
        x_label: of the x axis.
        y_label: of the y axis.
        height: of the picture, in pixels.
    """
    x_low, x_high = 0, max(x_values) * 1.05 or 1
    y_low, y_high = math.floor(min(y_values)), math.ceil(max(y_values))
    if y_low == y_high:  # all the same: in the middle
        y_low, y_high = y_low - 1, y_high + 1
    right, floor = WIDTH - RIGHT, height - BOTTOM

    def x(value):
        return LEFT + (right - LEFT) * (value - x_low) / (x_high - x_low)

    def y(value):
        return floor - (floor - TOP) * (value - y_low) / (y_high - y_low)

    parts = [_axis_x(_ticks(x_high), x, floor, x_label)]
    for tick in [y_low + tick for tick in _ticks(y_high - y_low)]:
        parts.append(_line(LEFT, y(tick), right, y(tick), "grid"))
        parts.append(_text(LEFT - 5, y(tick) + 4, f"{tick:g}", "end"))
    for number, (a, b) in enumerate(zip(x_values, y_values, strict=True)):
        if number != chosen:
            parts.append(_circle(x(a), y(b), 3, GRAY))
    a, b = x_values[chosen], y_values[chosen]
    parts.append(_circle(x(a), y(b), 7, VERMILION))
    parts.append(_text(LEFT, TOP - 6, y_label))
    return _svg(parts, height, f"{y_label} against {x_label}, chosen: {a:.2f} and {b:.1f}")


def _ticks(last):
    """About four round numbers from 0 to `last`."""
    step = 10.0 ** math.floor(math.log10(last / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if last / (step * factor) <= 5)
    return [i * step for i in range(int(last / step + 1e-9) + 1)]


def _axis_x(ticks, x, floor, label):
    parts = [_line(x(0), floor, WIDTH - RIGHT, floor, "axis")]
    parts += [_text(x(tick), floor + 14, f"{tick:,.6g}", "middle") for tick in ticks]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, floor + 29, label, "middle"))
    return "".join(parts)


def _line(x1, y1, x2, y2, kind):
    look = {
        "axis": 'stroke="currentColor"',
        "grid": 'stroke="currentColor" stroke-opacity=".15"',
        "mark": 'stroke="currentColor" stroke-opacity=".6" stroke-dasharray="2 2"',
        "target": f'stroke="{VERMILION}" stroke-width="2" stroke-dasharray="5 3"',
    }[kind]
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {look}/>'


def _circle(x, y, radius, color):
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{color}"/>'


def _text(x, y, text, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(str(text))}</text>'


def _svg(parts, height, description):
    return (
        f'<svg role="img" aria-label="{html.escape(description)}" width="{WIDTH}" '
        f'height="{height}" viewBox="0 0 {WIDTH} {height}" font-size="11" '
        f'font-family="sans-serif" style="color: var(--jp-ui-font-color1, #333)">'
        f'<g fill="currentColor">{"".join(parts)}</g></svg>'
    )
