"""The documentation site: `python -m sphinx -W -n -b html docs build/site`."""

import os
import re
import sys
from importlib.metadata import version as installed_version

from docutils.nodes import Element
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

project = "flair-espvr"
copyright = "the flair-espvr maintainers"
version = release = installed_version("flair-espvr")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]
html_theme = "furo"
html_title = f"flair-espvr {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
exclude_patterns = ["jupyter_execute"]

# Pages are written for the repository and for the site alike.
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]
mermaid_height = "auto"
mermaid_fullscreen = False

# Commands in notebooks are those of the environment that builds the site.
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
nb_execution_mode = "cache"
nb_execution_in_temp = True  # what a tutorial writes stays out of the repository
nb_execution_timeout = 1800  # seconds a cell; training takes a minute on a free core, much longer on a busy one
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

suppress_warnings = ["ref.python"]  # fields of like names, such as `type`

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_inherit_docstrings = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Names of other projects, whose inventories a build without network cannot ask, and names that are nobody's.
_OTHERS = (
    "abc",
    "annotated_types",
    "collections",
    "enum",
    "flair",
    "lmdb",
    "numpy",
    "np",
    "os",
    "pathlib",
    "PIL",
    "pydantic",
    "torch",
    "types",
)
_NOBODYS = ("Figure", "FieldInfo", "Ge", "Gt", "Le", "Lt", "MinLen", "MultipleOf", "NoneType", "ConfigDict", "Sentence")
nitpick_ignore_regex = [
    ("py:.*", rf"({'|'.join((*_OTHERS, 'transformers', 'typing', 'typing_extensions'))})\..*"),
    ("py:.*", "|".join(_NOBODYS)),
    ("py:.*", r"flair_espvr\..*\.(Output|Checked|_\w+)"),  # type variables and what is private
    ("py:.*", r"flair_espvr\.nn\.(config|layers|span_network)\..*"),  # bricks, which are read in the code
]


def public_place(app: Sphinx, env: BuildEnvironment, node: Element, content: Element) -> Element | None:
    """Lead a reference to where a name is defined, as annotations have it, to the package that it is documented in."""
    module, _, name = node.get("reftarget", "").rpartition(".")
    while module := module.rpartition(".")[0]:
        if f"{module}.{name}" in env.domains.python_domain.objects:
            found = env.domains.python_domain.objects[f"{module}.{name}"]
            return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, content)
    return None


def pages_of_the_root(app: Sphinx, docname: str, source: list[str]) -> None:
    """Lead links to the repository's own pages, which are right there, to the site's pages that include them."""
    source[0] = re.sub(
        r"\]\((?:\.\./)+(SECURITY|CONTRIBUTING|CHANGELOG)\.md", lambda link: f"](/{link[1].lower()}.md", source[0]
    )


def setup(app: Sphinx) -> None:
    """Connect the above."""
    app.connect("source-read", pages_of_the_root)
    app.connect("missing-reference", public_place)
