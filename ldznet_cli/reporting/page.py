"""One self-contained HTML page: everything is in the file, nothing is asked of a network, it opens from disk."""

from __future__ import annotations

import base64
from functools import cache
from io import BytesIO
from typing import Any

from PIL import Image


def page(template: str, **values: object) -> str:
    """The HTML of `templates/<template>` (a Jinja template that extends `page.html`), filled with `values`.

    What is filled in is escaped, so that a phrase or a file's name is only ever text; `| tojson` puts data into a
    script. A missing value is an error (jinja2.UndefinedError), not an empty place.
    """
    text: str = _environment().get_template(template).render(**values)
    return text


def data_uri(content: bytes, media_type: str) -> str:
    """A file's bytes as an address that needs no file: for `src` and `href`."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def jpeg_uri(image: Image.Image, longest: int) -> str:
    """An RGB image as a JPEG in a data address, made smaller until neither side is longer than `longest` pixels."""
    small = image.convert("RGB")
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return data_uri(buffer.getvalue(), "image/jpeg")


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("ldznet_cli.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
