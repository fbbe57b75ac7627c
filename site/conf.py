"""Sphinx makes the pages by this, from the committed notebooks: `make site`, into build/site.

course.py has what is the course's own. Nothing is executed, and a page needs no network.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "site")]

from tools.badges import address  # noqa: E402

CREDIT = (
    "<p>Reproduces and tests "
    '<a href="https://blog.csdn.net/avinswang/article/details/86607233" lang="zh">'
    "自编码器的原理及实现</a> by avinswang (CSDN, CC BY-SA 4.0). Text and figures: "
    '<a href="https://creativecommons.org/licenses/by-sa/4.0/">CC BY-SA 4.0</a>; code: MIT.</p>'
)

project = "Sparse autoencoders, hands on"
extensions = ["myst_nb", "course"]
root_doc = "index"
include_patterns = ["index.md", "notebooks/**.ipynb", "notebooks/solutions/README.md"]
include_patterns += ["teaching/README.md", "data/README.md", "benchmarks/README.md"]
include_patterns += ["site/glossary.md", "teaching/hub/README.md"]
exclude_patterns = [".*", "build", "release", "tests", "tools"]  # are not even looked through

nb_execution_mode = "off"
suppress_warnings = ["myst.header"]  # worked answers have an H1, then H3
nb_ipywidgets_js = {}  # these would come from a network
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["static"]
html_css_files = ["course.css"]
html_js_files = [("questions.js", {"defer": "defer"})]
html_copy_source = False
html_theme_options = {
    "navbar_start": [],  # no bar on top: search stands beside
    "navbar_center": [],
    "navbar_end": [],
    "navbar_persistent": [],
    "use_download_button": False,
    "footer_content_items": ["extra-footer"],
    "extra_footer": CREDIT,
}
if published := address():  # then a lesson opens elsewhere, and every page says where it is from
    html_theme_options |= {
        "repository_url": published,
        "repository_branch": "main",
        "use_repository_button": True,
        "launch_buttons": {
            "notebook_interface": "jupyterlab",
            "colab_url": "https://colab.research.google.com",
            "binderhub_url": "https://mybinder.org",
        },
    }
