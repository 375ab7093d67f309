"""Pages that need nothing but themselves: templates, styles, scripts and Plotly in one file.

A page asks no network for anything, and its Content-Security-Policy has the browser refuse
it if it did.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import DictLoader, Environment, StrictUndefined

from cmedplan.atomic import write_whole
from cmedreport.embedded import PROVENANCE_ID, to_json
from cmedreport.pictures import COARSE

ASSETS = ("page.html.j2", "page.css", "page.js")
"""Files of the folder `assets` that this module reads; they count as its code."""

_FOLDER = Path(__file__).parent / "assets"


def render(
    path: Path,
    template: str,
    assets: Sequence[str],
    data: Any,
    context: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    """Write a page.

    Parameters
    ----------
    path : Path
        The HTML file.
    template : str
        One of `assets`, which extends ``page.html.j2``.
    assets : sequence of str
        The page's own files; a template can include no others.
    data : JSON
        What the page's script draws.
    context : mapping
        What the template shows. All of it is escaped.
    provenance : mapping
        How the page was made; see `provenance.provenance_of`.
    """
    # A workflow that is fetched with git may have lost the last line ends of its files.
    sources = {name: (_FOLDER / name).read_text("utf-8").rstrip() for name in (*ASSETS, *assets)}
    environment = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    made_by = dict(provenance)
    made_by["packages"] = made_by.get("packages", {}) | {
        name: version(name) for name in ("jinja2", "plotly")
    }
    text = environment.get_template(template).render(
        **context,
        coarse=COARSE,
        source=lambda name: sources[name],
        plotly=_plotly(),
        embedded={PROVENANCE_ID: to_json(made_by), "data": to_json(data)},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)


def link_to(subject: str, clip_id: str = "") -> str:
    """Return the address of a subject's page, or of a clip on it, from beside it.

    >>> link_to("Subject_01", "Subject_01/Happy/vid 1")
    'Subject_01.html#Subject_01/Happy/vid%201'
    """
    return f"{quote(subject)}.html" + (f"#{quote(clip_id)}" if clip_id else "")


def _plotly() -> str:
    """Return Plotly's script, out of the Python package, which is not imported."""
    spec = find_spec("plotly")
    script = Path(spec.origin).parent / "package_data" / "plotly.min.js"  # type: ignore[union-attr, arg-type]
    return script.read_text("utf-8").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def number(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Return a number to read, or a dash where there is none.

    >>> number(0.126), number(None), number(1234, 0)
    ('0.13', '—', '1,234')
    """
    if value is None:
        return "—"
    return f"{value:,.{digits}f}" + (f"\u202f{unit}" if unit else "")


def signed(value: int | None) -> str:
    """Return a whole number with its sign, or a dash where there is none.

    >>> signed(2), signed(-1), signed(0), signed(None)
    ('+2', '-1', '0', '—')
    """
    return "—" if value is None else f"{value:+d}" if value else "0"


def words(status: str) -> str:
    """Return a status as words: `apex_out_of_range` is read "apex out of range"."""
    return status.replace("_", " ")


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "clip"), plural(1200, "clip")
    ('1 clip', '1,200 clips')
    """
    return f"{count:,} {noun}{'s'[: count != 1]}"


FILTERS: Mapping[str, Callable[..., str]] = {
    "number": number,
    "signed": signed,
    "words": words,
    "plural": plural,
    "link_to": link_to,
}
