"""How `make docs` builds the site from the Markdown pages of this folder."""

import sys
from pathlib import Path

from flom import __version__

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "plots")]

project = "txflom"
author = "The txflom developers"
copyright = author
release = __version__

extensions = [
    *("myst_parser", "sphinx.ext.graphviz", "sphinx_copybutton", "matplotlib.sphinxext.plot_directive"),
    *("sphinx.ext.autodoc", "sphinxcontrib.zopeext.autointerface", "epytext"),
]
autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": True}
autodoc_member_order = "bysource"
nitpick_ignore_regex = [("py:.*", ".*")]  # types in signatures are no links
graphviz_output_format = "svg"
plot_formats = ["svg"]
plot_html_show_formats = False
plot_html_show_source_link = False
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 4  # as many levels of headings can be linked to
exclude_patterns = ["examples/*"]
nitpicky = True  # a link that leads nowhere is a warning, and a warning is an error

# only commands are copied from a console block, without their prompts
copybutton_prompt_text = r"(one|two|three)?[$#] |> "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"txflom {release}"
