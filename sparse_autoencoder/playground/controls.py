"""What the three panels share: sliders, pictures, and a box that closes its predecessor."""

import weakref

import ipywidgets as widgets
from IPython import get_ipython

from ..vocabulary import HYPERPARAMETERS, value_in_words

WIDE = {"layout": {"width": "420px"}, "style": {"description_width": "150px"}}
WRAP = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 10px"}
STYLE = """<style>
.course-panel .widget-box, .course-panel .widget-html { overflow: visible; }
.course-panel .widget-html-content { line-height: 1.35; }
.course-panel .course-pixels { image-rendering: pixelated; }
.course-panel .course-heard-only { position: absolute; clip-path: inset(50%); }
.course-panel table { border-collapse: collapse; }
.course-panel th, .course-panel td {
    padding: 2px 8px; text-align: right; border-bottom: 1px solid #8888; }
.course-panel :focus-visible { outline: 2px solid #0072B2; outline-offset: 2px; }
</style>"""

_shown_by = weakref.WeakValueDictionary()  # id of a notebook's cell → the panel that it shows


class Panel(widgets.VBox):
    """A box of widgets that is closed as a whole, and when its cell shows another one."""

    def __init__(self, children):
        super().__init__([widgets.HTML(STYLE), *children])
        self.add_class("course-panel")

    def _repr_mimebundle_(self, **kwargs):
        cell = _cell_id()
        if cell is not None:
            before = _shown_by.get(cell)
            if before not in (None, self):
                before.close()  # else a cell that is run again would train twice
            _shown_by[cell] = self
        return super()._repr_mimebundle_(**kwargs)

    def close(self):
        """Remove every widget from the page."""
        if self.comm is not None:  # neither closed before, nor unfinished
            close_all(self.children)
            self.unobserve_all()
            self.layout.close()
            super().close()


def close_all(some):
    """Close widgets, and all that stand within them."""
    for widget in some:
        close_all(getattr(widget, "children", ()))
        widget.unobserve_all()
        for part in (widget.layout, getattr(widget, "style", None), widget):
            if isinstance(part, widgets.Widget):
                part.close()


class Slider(widgets.SelectionSlider):
    """A slider over values of a hyperparameter.

    Args:
        name: its key in the vocabulary.
        values: what it offers.
        value: what it shows at first.
    """

    def __init__(self, name, values, value):
        label = HYPERPARAMETERS[name].label
        super().__init__(options=_options(values), value=value, description=label, **WIDE)

    def move(self, value):
        """Show a value, which gets a place among the others if it has none."""
        values = [offered for _, offered in self.options]
        with self.hold_sync():  # the page shall not see the first place in between
            if value not in values:
                self.options = _options([*values, value])
            self.value = value


def _options(values):
    return [(value_in_words(value), value) for value in sorted(set(values))]


def pixels(name, **how):
    """A widget for the bytes of a PNG, of which `name` is the CSS class."""
    picture = widgets.Image(format="png", **how)
    picture.add_class("course-pixels")
    return picture.add_class(name)


def _cell_id():
    """Which cell is being run, where the front end says so."""
    kernel = getattr(get_ipython(), "kernel", None)
    parent = kernel.get_parent("shell") if kernel is not None else {}
    return parent.get("metadata", {}).get("cellId")
