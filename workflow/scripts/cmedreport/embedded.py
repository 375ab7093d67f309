"""Data inside a page: JSON that no name can break out of, and that can be read back."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROVENANCE_ID = "provenance"
"""The element of a page that says how the page was made, as a table's metadata does."""

_HARMLESS = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def to_json(value: Any) -> str:
    r"""Return JSON that may stand inside an HTML ``<script>`` element, in few bytes.

    >>> to_json({"name": "</script><b>"})
    '{"name":"\\u003c/script\\u003e\\u003cb\\u003e"}'
    """
    text = json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True
    )
    return text.translate(_HARMLESS)


def read_embedded(page: str, element: str) -> Any:
    """Return the JSON in an element of a page that `pages.render` has written.

    Raises
    ------
    ValueError
        The page has no such element.
    """
    opening = f'<script type="application/json" id="{element}">'
    found = re.search(rf"{re.escape(opening)}(.*?)</script>", page, re.DOTALL)
    if found is None:
        raise ValueError(f"the page has no element `{element}` with JSON inside")
    return json.loads(found[1])


def read_page_provenance(path: Path) -> Mapping[str, Any]:
    """Return what a report says of its own making.

    Raises
    ------
    RuntimeError
        The file is no whole report.
    """
    try:
        provenance: dict[str, Any] = read_embedded(path.read_text("utf-8"), PROVENANCE_ID)
    except ValueError as error:
        raise RuntimeError(
            f"{path} should be a report that the workflow has written, and is not: {error}. It was "
            "changed after it had been made. Remove it and run the workflow again, which makes it "
            "anew."
        ) from error
    return provenance
