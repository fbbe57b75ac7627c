"""A scatter as SVG text, for pages that fetch nothing."""

import html
import math

WIDTH, HEIGHT = 384, 300  # pixels
LEFT, RIGHT, TOP, BOTTOM = 46, 62, 18, 34  # margins around its axes


def scatter_svg(x_values, y_values, x, y):
    """A circle for each point, in their order; the page's style says how large, and which colour.

    Args:
        x_values: (n,), 0 or more.
        y_values: (n,).
        x: label of the x axis.
        y: label of the y axis.
    """
    low, high, last = math.floor(min(y_values)), math.ceil(max(y_values)), max(x_values) * 1.05 or 1
    if low == high:  # all the same: in the middle
        low, high = low - 1, high + 1
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<path d="M{LEFT} {floor}H{right}" stroke="currentColor"/>']

    def place(x, y):
        share = (y - low) / (high - low)
        return LEFT + (right - LEFT) * x / last, floor - (floor - TOP) * share

    def text(x, y, words, anchor):
        words = html.escape(words)
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>')

    for tick in _ticks(last):
        text(place(tick, low)[0], floor + 14, f"{tick:,.6g}", "middle")
    for tick in _ticks(high - low):
        height = place(0, low + tick)[1]
        line = f"M{LEFT} {height:.1f}H{right}"
        parts.append(f'<path d="{line}" stroke="currentColor" opacity=".15"/>')
        text(LEFT - 5, height + 4, f"{low + tick:g}", "end")
    for point in zip(x_values, y_values, strict=True):
        across, down = place(*point)
        parts.append(f'<circle cx="{across:.1f}" cy="{down:.1f}"/>')
    text((LEFT + right) / 2, floor + 29, x, "middle")
    text(LEFT, TOP - 6, y, "start")
    return (
        f'<svg role="img" aria-label="{html.escape(f"{y} against {x}")}" '
        f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="11" '
        f'font-family="sans-serif" fill="currentColor">{"".join(parts)}</svg>'
    )


def _ticks(last):
    """About four round numbers from 0 to `last`."""
    step = 10.0 ** math.floor(math.log10(last / 2))
    step *= next(factor for factor in (1, 2, 5, 10) if last / (step * factor) <= 5)
    return [i * step for i in range(int(last / step + 1e-9) + 1)]
