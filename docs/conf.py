"""The documentation as a site: `make docs`. Nothing is fetched, neither here nor by a reader."""

project = "Tollkeeper"
author = "The Tollkeeper authors"
copyright = author  # noqa: A001

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"

#: A heading's anchor as GitHub makes it, so that a link holds in both places.
myst_heading_anchors = 4
#: Examples leave out what does not matter ("…"), which no lexer takes for JSON.
suppress_warnings = ["misc.highlighting_failure"]

#: Blocks without a language are commands and answers: Python's colours would mislead.
highlight_language = "none"

html_theme = "furo"
html_title = "Tollkeeper"
html_show_sphinx = False
html_copy_source = False
html_extra_path = ["openapi.json", "openapi-pages.json", "openapi-webhook.json"]
