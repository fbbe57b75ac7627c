"""The playground's sliders over models that were trained before: nothing trains, nothing waits.

    SweepExplorer(sliders=("rho", "beta"), activation="sigmoid", lam2=0.003)

shows what data/sweep.csv and data/sweep/ hold; `make sweep` makes them.
"""

import html
import itertools

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from ..figures import FIGURE_SIZES
from ..tables import sweep, sweep_picture
from ..vocabulary import HYPERPARAMETERS
from .controls import Panel, Slider, pixels
from .pictures import scatter_svg

USUAL = {"hidden_units": 196, "batch_size": 128}
NOT_TRAINED = '<div role="status">This pair was not trained.</div>'
SIX_FEATURES = (0, 0, 86, 57)  # of the picture of 49: left, top, right and lower edge in pixels


class SweepExplorer(Panel):
    """Sliders over a part of the sweep.

    Args:
        sliders: what can be chosen: "rho", "beta", "lam1", "lam2", "hidden_units".
        fixed: what all models shown have in common, such as activation="relu"; 196 hidden units
            and batches of 128 unless told otherwise.

    Attributes:
        table: a row for each model that can be shown: see tables.sweep.
        choices: slider → the values that it offers.

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
        self.choices = {name: np.unique(table[name].dropna()).tolist() for name in sliders}
        self._sliders = {}
        for name, values in self.choices.items():
            slider = Slider(name, values, values[len(values) // 2])
            slider.add_class(f"explorer-{name.replace('_', '-')}")
            slider.observe(self._show, "value")
            self._sliders[name] = slider
        self._words, self._scatter = widgets.HTML(), widgets.HTML()
        self._pictures = {
            kind: pixels("explorer-picture", width=406) for kind in ("features", "reconstructions")
        }
        images = widgets.VBox(list(self._pictures.values()))
        row = widgets.HBox([images, self._scatter], layout={"flex_flow": "row wrap"})
        super().__init__([*self._sliders.values(), self._words, row])
        self._show()

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

    def states(self):
        """All that it can show, for a page without a kernel.

        Returns:
            sliders: a list of dicts with label, texts (one for each place) and place, where it
                stands now.
            states: "i,j" → a dict with words and scatter (HTML) and setting, a name or None, for
                each place i of the first slider, j of the second, and so on.
        """
        sliders, states = [], {}
        for slider in self._sliders.values():
            texts = [text for text, _ in slider.options]
            sliders.append({"label": slider.description, "texts": texts, "place": slider.index})
        for choice in itertools.product(*map(enumerate, self.choices.values())):
            places, values = zip(*choice, strict=True)
            setting = self.setting(**dict(zip(self.choices, values, strict=True)))
            words, scatter = self._describe(setting)
            state = {"words": words, "scatter": scatter, "setting": setting}
            states[",".join(map(str, places))] = state
        return sliders, states

    def still(self):
        """A matplotlib figure of six features for all values of the two sliders."""
        # The longer one goes right, so that the figure is wider than high.
        down, across = sorted(self.choices, key=lambda name: len(self.choices[name]))
        rows, columns = self.choices[down], self.choices[across]
        size = FIGURE_SIZES["wide" if len(rows) <= 2 else "large"]
        fig, axes = plt.subplots(
            len(rows), len(columns), figsize=size, squeeze=False, layout="constrained"
        )
        shown = {None}
        for ax, (row, column) in zip(axes.flat, itertools.product(rows, columns), strict=True):
            setting = self.setting(**{down: row, across: column})
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if setting not in shown:  # with β off there is one model for every ρ
                shown.add(setting)
                with Image.open(sweep_picture(setting, "features")) as picture:
                    ax.imshow(picture.convert("RGB").crop(SIX_FEATURES))
        for ax, value in zip(axes[-1], columns, strict=True):
            ax.set_xlabel(f"{HYPERPARAMETERS[across].symbol} = {value:g}")
        for ax, value in zip(axes[:, 0], rows, strict=True):
            ax.set_ylabel(f"{HYPERPARAMETERS[down].symbol} = {value:g}")
        return fig

    def _show(self, _=None):
        setting = self.setting(**{name: slider.value for name, slider in self._sliders.items()})
        self._words.value, self._scatter.value = self._describe(setting)
        if setting is not None:
            for kind, picture in self._pictures.items():
                picture.value = sweep_picture(setting, kind).read_bytes()

    def _describe(self, setting):
        """What is said of a model, and where it stands among the others: HTML and SVG."""
        if setting is None:
            return NOT_TRAINED, ""
        row = self.table.loc[setting]
        words = (
            f'<div role="status" class="explorer-status" data-setting="{html.escape(setting)}">'
            f"SSE {row.sse_validation:.2f}, mean ρ̂ {row.mean_activation:.3f}, "
            f"{row.active_units:.1f} active units per image, {row.dead_units:.0f} dead units, "
            f"probe {row.probe_10_validation:.1f} % with 10 labels per class.<br><small>Mean of "
            f"{row.seeds:.0f} seeds; 49 features of the first, above ten validation images and "
            "their reconstructions.</small></div>"
        )
        scatter = scatter_svg(
            list(self.table.sse_validation),
            list(self.table.probe_10_validation),
            self.table.index.get_loc(setting),
            "SSE, validation",
            "probe %, 10 labels per class: the models of this explorer",
        )
        return words, scatter
