"""The playground's sliders over models that were trained before: nothing trains, nothing waits.

    SweepExplorer(sliders=("rho", "beta"), activation="sigmoid", lam2=0.003)

shows what data/sweep.csv and data/sweep/ hold; `make sweep` makes them.
"""

import html
import io

import ipywidgets as widgets
import numpy as np

import live_pictures
from helpers import FIGURE_SIZES, sweep, sweep_picture

LABELS = {
    "rho": "ρ, target activation",
    "beta": "β, KL weight",
    "lam2": "λ₂, L2 weight",
    "lam1": "λ₁, L1 weight",
    "hidden_units": "hidden units",
}
USUAL = {"hidden_units": 196, "batch_size": 128}


class SweepExplorer:
    """Sliders over a part of the sweep.

    Args:
        sliders: what can be chosen: "rho", "beta", "lam1", "lam2", "hidden_units".
        fixed: what all models shown have in common, such as activation="relu"; 196 hidden units
            and batches of 128 unless told otherwise.

    Raises:
        ValueError: the sweep holds no such models.
    """

    def __init__(self, sliders, **fixed):
        table = sweep()
        for name, value in (USUAL | fixed).items():
            if name not in sliders:
                table = table[table[name] == value]
        if table.empty:
            raise ValueError(f"data/sweep.csv holds no models with {fixed}: see experiments.SWEEP.")
        self.table = table
        self._sliders = {}
        for name in sliders:
            values = sorted(table[name].dropna().unique())
            slider = widgets.SelectionSlider(
                options=[("off" if value == 0 else f"{value:g}", value) for value in values],
                value=values[len(values) // 2],
                description=LABELS[name],
                layout={"width": "420px"},
                style={"description_width": "150px"},
            )
            slider.add_class(f"explorer-{name.replace('_', '-')}")
            slider.observe(self._draw, "value")
            self._sliders[name] = slider
        self._words, self._scatter = widgets.HTML(), widgets.HTML()
        self._features = widgets.Image(format="png", width=406)
        self._reconstructions = widgets.Image(format="png", width=406)
        for picture in (self._features, self._reconstructions):
            picture.add_class("explorer-picture")
        pictures = widgets.VBox([self._features, self._reconstructions])
        style = widgets.HTML("<style>.explorer-picture { image-rendering: pixelated; }</style>")
        self.box = widgets.VBox(
            [
                style,
                *self._sliders.values(),
                self._words,
                widgets.HBox([pictures, self._scatter], layout={"flex_flow": "row wrap"}),
            ]
        )
        self._draw()

    def _ipython_display_(self):
        from IPython.display import display

        display(self.box)

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

    def _draw(self, _=None):
        chosen = {name: slider.value for name, slider in self._sliders.items()}
        setting = self.setting(**chosen)
        if setting is None:
            self._words.value = '<div role="status">This pair was not trained.</div>'
            return
        row = self.table.loc[setting]
        self._features.value = sweep_picture(setting, "features").read_bytes()
        self._reconstructions.value = sweep_picture(setting, "reconstructions").read_bytes()
        self._words.value = (
            f'<div role="status" class="explorer-status" data-setting="{html.escape(setting)}">'
            f"SSE {row.sse_validation:.2f}, mean ρ̂ {row.mean_activation:.3f}, "
            f"{row.active_units:.1f} active units per image, {row.dead_units:.0f} dead units, "
            f"probe {row.probe_10_validation:.1f} % with 10 labels per class.<br><small>Mean of "
            f"{row.seeds:.0f} seeds; 49 features of the first, above ten validation images and "
            "their reconstructions.</small></div>"
        )
        self._scatter.value = live_pictures.scatter_svg(
            list(self.table.sse_validation),
            list(self.table.probe_10_validation),
            self.table.index.get_loc(setting),
            "SSE, validation",
            "probe %, 10 labels per class: the models of this explorer",
        )

    def still(self):
        """A matplotlib figure of six features for all values of the first two sliders."""
        import matplotlib.pyplot as plt
        from PIL import Image

        names = list(self._sliders)[:2]
        names.sort(key=lambda name: len(self._sliders[name].options))  # wider than high
        choices = [[value for _, value in self._sliders[name].options] for name in names]
        rows, columns = choices if len(names) == 2 else ([None], choices[0])
        size = FIGURE_SIZES["wide" if len(rows) <= 2 else "large"]
        fig, axes = plt.subplots(
            len(rows), len(columns), figsize=size, squeeze=False, layout="constrained"
        )
        shown = set()
        for line, row in zip(axes, rows, strict=True):
            for ax, column in zip(line, columns, strict=True):
                values = (column,) if row is None else (row, column)
                setting = self.setting(**dict(zip(names, values, strict=True)))
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
                if setting not in {None, *shown}:  # with β off there is one model for every ρ
                    shown.add(setting)
                    file = io.BytesIO(sweep_picture(setting, "features").read_bytes())
                    ax.imshow(Image.open(file).convert("RGB").crop((0, 0, 86, 57)))
        for ax, value in zip(axes[-1], columns, strict=True):
            ax.set_xlabel(f"{live_pictures.SETTINGS.get(names[-1], names[-1])} = {value:g}")
        for ax, value in zip(axes[:, 0], rows, strict=True):
            if value is not None:
                ax.set_ylabel(f"{live_pictures.SETTINGS.get(names[0], names[0])} = {value:g}")
        return fig
