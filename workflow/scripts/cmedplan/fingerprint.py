"""Fingerprints of the code behind each rule: what has to rerun after an edit.

Snakemake does not see what a script imports, and it judges a script by its modification
time, which a fresh checkout changes. So each rule carries a digest of the content of its
script and of every module of ours that the script reaches, found from the import statements
themselves. In `schemas`, which all rules share, only the definitions that a script names
count: a new column of one table does not rerun the makers of the others. A module that reads files
of its package, templates and such, names them in `ASSETS`; they count as its code.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

PACKAGES = ("cmedplan", "cmedprep", "cmedreport")
SHARED_BY_NAME = "cmedprep.schemas"

# To parse every module, in every job, takes ten times as long; the tests hold these against it.
_IMPORT = re.compile(
    rf"^[ \t]*from ((?:{'|'.join(PACKAGES)})(?:\.\w+)*) import ([^(\n]+|\([^)]*\))", re.MULTILINE
)
_NAME = re.compile(r"(?:^|[(,])\s*(\w+)", re.MULTILINE)
_ASSETS = re.compile(r"^ASSETS = (\([^)]*\))", re.MULTILINE)


@cache
def code_fingerprint(script: Path) -> str:
    """Return the SHA-256 of a script and of all modules of ours that it imports, with assets."""
    sources, definitions = reach(script)
    digest = hashlib.sha256()
    for path in sorted(sources, key=lambda path: path.name):
        digest.update(path.name.encode() + b"\0" + _text(path).encode() + b"\0")
    for segment in _segments(script.parent / _file(SHARED_BY_NAME), definitions):
        digest.update(segment.encode() + b"\0")
    return digest.hexdigest()


def reach(script: Path) -> tuple[frozenset[Path], frozenset[str]]:
    """Return modules and assets that a script reaches, and the names of `schemas` they use."""
    sources: set[Path] = {script}
    names: set[str] = set()
    waiting = [script]
    while waiting:
        source = waiting.pop()
        sources.update(_assets(source))
        for module, imported in _imports(source):
            if module == SHARED_BY_NAME:
                names |= imported
                continue
            path = script.parent / _file(module)
            if path not in sources:
                sources.add(path)
                waiting.append(path)
    return frozenset(sources), frozenset(names)


@cache
def _text(path: Path) -> str:
    # Line ends are git's affair: they differ with the system, and the last one may be lost.
    return path.read_text(encoding="utf-8").rstrip()


@cache
def _imports(path: Path) -> frozenset[tuple[str, frozenset[str]]]:
    """List our modules that a file imports, with the names taken from each."""
    found = set()
    for module, listed in _IMPORT.findall(_text(path)):
        names = frozenset(_NAME.findall(listed))
        if module in PACKAGES:  # from cmedprep import video
            found |= {(f"{module}.{name}", frozenset({"*"})) for name in names}
        else:  # from cmedprep.video import Frame
            found.add((module, names))
    return frozenset(found)


@cache
def _assets(path: Path) -> tuple[Path, ...]:
    """List the files beside a module, in the folder `assets`, that it says it reads."""
    return tuple(
        path.parent / "assets" / name
        for named in _ASSETS.findall(_text(path))
        for name in ast.literal_eval(named)
    )


def _file(module: str) -> str:
    return module.replace(".", "/") + ".py"


def _segments(path: Path, names: Iterable[str]) -> list[str]:
    """Return the source of the named top-level definitions and of those they use."""
    defined = _definitions(path)
    reached: set[str] = set()
    waiting = [*defined] if "*" in names else [name for name in names if name in defined]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += defined[name][1]
    return [defined[name][0] for name in sorted(reached)]


@cache
def _definitions(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Return the source of each top-level definition of a file, and which others it uses."""
    text = _text(path)
    lines = text.split("\n")
    defined: dict[str, ast.stmt] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            defined |= {t.id: node for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            defined[node.target.id] = node
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined[node.name] = node
    return {
        name: (
            _source(node, lines),
            frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name)) & defined.keys(),
        )
        for name, node in defined.items()
    }


def _source(node: ast.stmt, lines: Sequence[str]) -> str:
    """Return the source of a statement that begins its line, as `ast.get_source_segment` does.

    That splits the whole text anew for each.
    """
    *before, last = lines[node.lineno - 1 : node.end_lineno]
    return "\n".join([*before, last.encode()[: node.end_col_offset].decode()])
