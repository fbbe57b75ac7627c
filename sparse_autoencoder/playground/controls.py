"""What the three panels share: sliders, the view, and a box that closes its predecessor."""

import re
import weakref
from pathlib import Path

import anywidget
import ipywidgets as widgets
import traitlets
from IPython import get_ipython

from ..vocabulary import HYPERPARAMETERS, value_in_words

HERE = Path(__file__).parent
VIEW, EXPLORER = ("charts.js", "view.js"), ("charts.js", "explorer.js")

WIDE = {"layout": {"width": "420px"}, "style": {"description_width": "150px"}}
WRAP = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 10px"}
STYLE = """<style>
.course-panel .widget-box, .course-panel .widget-html { overflow: visible; }
.course-panel .widget-html-content { line-height: 1.35; }
.course-panel .course-pixels { image-rendering: pixelated; }
.course-panel .course-else { animation: course-late 2s step-end; }
.course-panel:has(.course-view) .course-else { display: none !important; }
@keyframes course-late { from { visibility: hidden; max-height: 0; } }
.course-panel table { border-collapse: collapse; }
.course-panel th, .course-panel td {
    padding: 2px 8px; text-align: right; border-bottom: 1px solid #8888; }
.course-panel :focus-visible { outline: 2px solid #0072B2; outline-offset: 2px; }
</style>"""

NO_VIEW = (
    "What belongs here cannot be shown, for this page lacks the front end of anywidget: <code>pip "
    "install anywidget</code>, and load the page again. Without it,"
)

_shown_by = weakref.WeakValueDictionary()  # id of a notebook's cell → the panel that it shows


class Panel(widgets.VBox):
    """A box of widgets that is closed as a whole, and when its cell shows another one.

    Args:
        children: what stands in it.
        links: between them, in the page.
    """

    def __init__(self, children, links=()):
        super().__init__([widgets.HTML(STYLE), *children])
        self._links = links
        self.add_class("course-panel")

    def _repr_mimebundle_(self, **kwargs):
        self._take_over()
        return super()._repr_mimebundle_(**kwargs)

    if hasattr(widgets.Widget, "_ipython_display_"):  # ipywidgets 7, which Colab has

        def _ipython_display_(self, **kwargs):
            self._take_over()
            super()._ipython_display_(**kwargs)

    def _take_over(self):
        """Close what this cell showed before: else one that is run again would train twice."""
        cell = _cell_id()
        if cell is not None:
            before = _shown_by.get(cell)
            if before not in (None, self):
                before.close()
            _shown_by[cell] = self

    def close(self):
        """Remove every widget from the page."""
        if self.comm is not None:  # neither closed before, nor unfinished
            close_all([*self._links, *self.children])
            self.unobserve_all()
            self.layout.close()
            super().close()


def close_all(some):
    """Close widgets, and all that stand within them."""
    for widget in some:
        close_all(getattr(widget, "children", ()))
        widget.unobserve_all()
        for part in (getattr(widget, "layout", None), getattr(widget, "style", None), widget):
            if isinstance(part, widgets.Widget):
                part.close()


def script(folder, *names):
    """JavaScript modules of a folder as one: those that others import come first."""
    text = "\n".join((folder / name).read_text(encoding="utf-8") for name in names)
    return re.sub(r"^import .*\n|^export (?!default)", "", text, flags=re.M)


class View(anywidget.AnyWidget):
    """What view.js draws in the page: PROTOCOL.md says what it is told by traits and messages."""

    _esm, _css = script(HERE, *VIEW), script(HERE, "view.css")
    kind = traitlets.Unicode().tag(sync=True)
    place0, place1, place2 = (traitlets.Int().tag(sync=True) for _ in range(3))
    first = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)

    def follow(self, *controls):
        """Have place0 to place2 follow these widgets, in the page: no kernel is needed for it.

        Args:
            controls: pairs of a widget and the name of its trait, a number; three at most count.

        Returns:
            the links, to be closed with the widgets.
        """
        places = [(self, f"place{number}") for number in range(3)]
        for control, place in zip(controls, places, strict=False):
            setattr(*place, getattr(*control))
        return [*map(widgets.jsdlink, controls, places)]

    def or_else(self, words, *pictures):
        """This, and what stands there until it is seen, or for ever where it cannot be shown.

        Args:
            words: what can be done without it, HTML.
            pictures: PNG bytes.
        """
        images = [pixels("course-still", value=picture) for picture in pictures]
        instead = widgets.VBox([widgets.HTML(f"<p>{NO_VIEW} {words}</p>"), *images])
        # In browsers that do not know :has, the first message does what the style sheet cannot.
        self.on_msg(lambda *_: instead.layout.set_trait("display", "none"))
        return self, instead.add_class("course-else")


class Onlooker(View):
    """The same, drawn by explorer.js, which needs no engine."""

    _esm = script(HERE, *EXPLORER)
    done, models, features, reconstructions = (traitlets.List().tag(sync=True) for _ in range(4))
    places, labels = (traitlets.Dict().tag(sync=True) for _ in range(2))


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
    said = parent.get("metadata", {})
    return said.get("cellId") or said.get("colab", {}).get("cell_id")
