"""How `make docs` builds the site from the Markdown pages of this folder."""

from flom import __version__

project = "txflom"
author = "The txflom developers"
copyright = author  # noqa: A001  Sphinx asks for this name
release = __version__

extensions = ["myst_parser", "sphinx.ext.graphviz", "sphinx_copybutton"]
graphviz_output_format = "svg"
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 4  # as many levels of headings can be linked to
exclude_patterns = ["examples/*"]
nitpicky = True  # a link that leads nowhere is a warning, and a warning is an error

# only commands are copied from a console block, without their prompts
copybutton_prompt_text = r"(one|two|three)?[$#] |> "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"txflom {release}"
