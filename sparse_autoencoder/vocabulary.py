"""Every quantity of the course once: its key, symbol, label, colour, dashes and grid.

Sliders, plots, scorecards, pages and studies take their words from here, and from nowhere else.
"""

import math
from dataclasses import dataclass

# Okabe-Ito: told apart by colour-blind readers too.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, BLACK, GRAY = "#E69F00", "#000000", "#999999"


@dataclass(frozen=True)
class Term:
    """A term of the loss, as it is drawn.

    Attributes:
        label: in legends.
        color: one of the colours above.
        dashes: lengths of dash and gap in turn, in points; none for a solid line.
    """

    label: str
    color: str
    dashes: tuple[int, ...] = ()

    @property
    def linestyle(self):
        """The dashes as matplotlib wants them."""
        return (0, self.dashes) if self.dashes else "-"


@dataclass(frozen=True)
class Hyperparameter:
    """A number that is chosen rather than learned, and that can change while a model trains.

    Attributes:
        symbol: in formulas, axes and marks.
        name: what it is, in words.
        grid: the values that its slider offers; 0 switches a term off.
        low, high: the range of values that make sense.
        inclusive: whether `low` and `high` belong to the range.
    """

    symbol: str
    name: str
    grid: tuple[float, ...]
    low: float = 0.0
    high: float = math.inf
    inclusive: bool = True

    @property
    def label(self):
        """Symbol and name, as beside a slider."""
        return f"{self.symbol}, {self.name}" if self.symbol != self.name else self.name

    def says(self, value):
        """A value with its symbol, as the reader sees both: "β off"."""
        return f"{self.symbol} {value_in_words(value)}"

    def check(self, argument, value):
        """Raise a ValueError that says what `argument` was and what it may be, if out of range."""
        try:
            value = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"The {self.name} {argument} is {value!r}, no number.") from None
        inside = self.low < value < self.high
        inside |= self.inclusive and value in (self.low, self.high)
        if not (inside and math.isfinite(value)):
            allowed = f"between {self.low:g} and {self.high:g}"
            if self.high == math.inf:
                allowed = f"finite and {self.low:g} or more"
            if not self.inclusive:
                above = f"finite and above {self.low:g}"
                allowed = above if self.high == math.inf else f"{allowed}, both excluded"
            raise ValueError(f"The {self.name} {argument} is {value:g}, but it must be {allowed}.")


@dataclass(frozen=True)
class Measure:
    """A figure of a model in the scorecard.

    Attributes:
        label: of its column.
        digits: after the decimal point.
        best: "min" or "max", whichever is the best value; None where neither is.
    """

    label: str
    digits: int
    best: str | None = None


TERMS = {
    "loss": Term("loss (total)", BLACK, (8, 2)),
    "sse": Term("SSE", BLUE),
    "l2": Term("L2 term", GREEN, (7, 3, 2, 3)),
    "kl": Term("KL term", VERMILION, (7, 3)),
    "l1": Term("L1 term", PURPLE, (2, 3)),
    "l0": Term("L0 term", PURPLE, (2, 3)),
    "gate": Term("gate term", ORANGE, (7, 3, 2, 3, 2, 3)),
    "aux": Term("aux term", ORANGE, (7, 3, 2, 3, 2, 3)),
    "nested": Term("nested term", ORANGE, (7, 3, 2, 3, 2, 3)),
}

HYPERPARAMETERS = {
    "learning_rate": Hyperparameter(
        "learning rate",
        "learning rate",
        (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1),
        inclusive=False,
    ),
    "rho": Hyperparameter(
        "ρ",
        "target activation",
        (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5),
        high=1.0,
        inclusive=False,
    ),
    "beta": Hyperparameter("β", "KL strength", (0, 0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20)),
    "lam2": Hyperparameter("λ₂", "L2 strength", (0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3)),
    "lam1": Hyperparameter("λ₁", "L1 strength", (0, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1)),
    "k": Hyperparameter("k", "active units", (1, 2, 5, 10, 15, 20, 25, 50, 100, 200), low=1),
    "lam0": Hyperparameter("λ₀", "L0 strength", (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)),
    "theta": Hyperparameter("θ", "threshold", (0, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2)),
    "hidden_units": Hyperparameter("hidden units", "hidden units", (49, 100, 196, 400, 784), low=1),
}

# Other people's settings, in the course's units; UFLDL halves the SSE, so its strengths count
# double.
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

# Key in data/results.csv and in what measures.score returns.
SCORECARD = {
    "sse_test": Measure("test SSE", 2, "min"),
    "mean_activation": Measure("mean activation", 3),
    "active_units": Measure("active units per image", 1),
    "dead_units": Measure("dead units", 0),
    "probe_10": Measure("probe %, 10 labels per class", 1, "max"),
    "probe_100": Measure("probe %, 100 labels per class", 1, "max"),
}


def value_in_words(value):
    """A hyperparameter's value as the reader sees it: "off" for 0."""
    return "off" if value == 0 else f"{value:g}"
