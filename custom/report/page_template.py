"""HTML pages from the templates of this folder: everything is escaped, and nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

_FOLDER = resources.files(__package__)


def render(template: str, **values: Any) -> str:
    """A page; ``style`` and ``script`` of the folder are at hand in every template.

    Args:
        template: name of a file in ``templates``.
        values: of the template; one that it needs and is not given is an error.
    """
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    shared = {name: (_FOLDER / f"page.{ending}").read_text("utf-8") for name, ending in _SHARED.items()}
    return environment.get_template(template).render(**shared, **values).lstrip()


_SHARED = {"style": "css", "script": "js"}


def png_source(picture: bytes) -> str:
    """A PNG as the source of an image."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"
