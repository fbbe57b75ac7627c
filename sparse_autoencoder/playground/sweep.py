"""The playground's sliders over models that were trained before: nothing trains, nothing waits.

    SweepExplorer(sliders=("rho", "beta"), activation="sigmoid", lam2=0.003)

shows what data/sweep.csv and data/sweep/ hold; `make sweep` makes them.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from ..figures import FIGURE_SIZES
from ..tables import sweep, sweep_picture
from ..vocabulary import HYPERPARAMETERS
from .controls import Onlooker, Panel, Slider

USUAL = {"hidden_units": 196, "batch_size": 128}
LABELS = {"x": "SSE, validation; a point for each model", "y": "probe %, 10 labels per class"}
WITHOUT = "<code>explorer.still()</code> draws features of all models. This is one of them:"
EIGHT_FEATURES = (0, 0, 115, 57)  # of the picture of 49: left, top, right, lower edge in pixels


class SweepExplorer(Panel):
    """Sliders over a part of the sweep.

    Args:
        sliders: what can be chosen: "rho", "beta", "lam1", "lam2", "hidden_units".
        fixed: what all models shown have in common, such as activation="relu"; 196 hidden units
            and batches of 128 unless told otherwise.

    Attributes:
        table: a row for each model that can be shown: see tables.sweep.
        choices: name of a slider → the values that it offers.
        sliders: name → controls.Slider.
        models: what is said of each of these models, as PROTOCOL.md has it: list of dicts.
        places: "i,j" → number of the model for place i of the first slider, j of the second, and so
            on; a missing one was not trained.

    Raises:
        ValueError: the sweep holds no such models.
    """

    def __init__(self, sliders, **fixed):
        table = sweep()
        for name, value in (USUAL | fixed).items():
            if name not in sliders:
                table = table[table[name] == value]
        if table.empty:
            raise ValueError(f"data/sweep.csv holds no models with {fixed}.")
        self.table = table
        self.models = [self._describe(setting) for setting in table.index]
        self.sliders = {}
        self.choices = {name: np.unique(table[name].dropna()).tolist() for name in sliders}
        for name, values in self.choices.items():
            slider = Slider(name, values, values[len(values) // 2])
            self.sliders[name] = slider.add_class(f"explorer-{name.replace('_', '-')}")
        self.places = self._find_places()
        pngs = {
            kind: [sweep_picture(setting, kind).read_bytes() for setting in table.index]
            for kind in ("features", "reconstructions")
        }
        said = {"models": self.models, "places": self.places, "labels": LABELS}
        view = Onlooker(kind="explorer", **said, **pngs)
        links = view.follow(*((slider, "index") for slider in self.sliders.values()))
        shown = view.or_else(WITHOUT, *(pictures[0] for pictures in pngs.values()))
        super().__init__([*self.sliders.values(), *shown], links)

    def setting(self, **chosen):
        """The name of the model with these values of the sliders, or None if there is none.

        Without a KL penalty, β = 0, there is one model for every ρ.
        """
        rows = self.table
        for name, value in chosen.items():
            same = np.isclose(rows[name], value)
            if name == "rho":
                same |= rows[name].isna()
            rows = rows[same]
        return rows.index[0] if len(rows) else None

    def still(self, **shown):
        """A matplotlib figure of eight features of each model, over the values of two sliders.

        Args:
            shown: a slider's name and those of its values that are drawn, such as rho=(0.05, 0.5);
                all values by default.
        """
        # The longer one goes right, so that the figure is wider than high.
        choices = self.choices | shown
        down, across = sorted(choices, key=lambda name: len(choices[name]))
        rows, columns = choices[down], choices[across]
        size = FIGURE_SIZES["wide" if len(rows) <= 2 else "large"]
        fig, axes = plt.subplots(
            len(rows), len(columns), figsize=size, squeeze=False, layout="constrained"
        )
        fig.get_layout_engine().set(wspace=0.08, hspace=0.08)  # so that models stand apart
        drawn = {None}
        for ax, (row, column) in zip(axes.flat, itertools.product(rows, columns), strict=True):
            setting = self.setting(**{down: row, across: column})
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if setting not in drawn:  # with β off there is one model for every ρ
                drawn.add(setting)
                with Image.open(sweep_picture(setting, "features")) as picture:
                    ax.imshow(picture.convert("RGB").crop(EIGHT_FEATURES))
        for ax, value in zip(axes[-1], columns, strict=True):
            ax.set_xlabel(f"{HYPERPARAMETERS[across].symbol} = {value:g}")
        for ax, value in zip(axes[:, 0], rows, strict=True):
            ax.set_ylabel(f"{HYPERPARAMETERS[down].symbol} = {value:g}")
        return fig

    def _find_places(self):
        places = {}
        for choice in itertools.product(*map(enumerate, self.choices.values())):
            numbers, values = zip(*choice, strict=True)
            setting = self.setting(**dict(zip(self.choices, values, strict=True)))
            if setting is not None:
                places[",".join(map(str, numbers))] = self.table.index.get_loc(setting)
        return places

    def _describe(self, setting):
        row = self.table.loc[setting]
        return {
            "setting": setting,
            "words": f"SSE {row.sse_validation:.2f}, mean ρ̂ {row.mean_activation:.3f}, "
            f"{row.active_units:.1f} active units per image, {row.dead_units:.0f} dead units, "
            f"probe {row.probe_10_validation:.1f} % with 10 labels per class.",
            "note": f"Mean of {row.seeds:.0f} seeds; 49 features of the first, above ten "
            "validation images and their reconstructions.",
            "x": float(row.sse_validation),
            "y": float(row.probe_10_validation),
        }
