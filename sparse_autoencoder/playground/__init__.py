"""What plays with the course's models: sliders on training, on a sweep, and on a linear probe.

- `engine`: a copy of a model that trains while its hyperparameters change
- `session`, `frames`: what answers the view, and what it is sent; PROTOCOL.md has the messages
- `view.js`, `view.css`: what draws in the page, and clocks the training; `explorer.js`: what needs
  no engine; `charts.js`: the charts of both
- `panel`: the sliders around it
- `digit`: a drawn digit, placed as MNIST's are
- `still`: the same as a matplotlib figure, for those who read without running
- `sweep`, `probe`: the explorers of lessons 04 and 06, and of lesson 05
- `controls`: what the three panels share
"""

from .panel import Playground
from .probe import ProbeExplorer
from .sweep import SweepExplorer

__all__ = ["Playground", "ProbeExplorer", "SweepExplorer"]
