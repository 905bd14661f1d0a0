"""The site of these pages: `make docs` builds it strictly, into build/docs."""

import importlib.metadata

project = "Pointsman"
author = "The Pointsman developers"
release = importlib.metadata.version("pointsman")
extensions = ["myst_parser"]
exclude_patterns = ["examples"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"Pointsman {release}"
html_show_sphinx = False
