"""Fingerprints of the code behind each rule: what has to rerun after an edit.

Snakemake does not see what a script imports, and it judges a script by its modification
time, which a fresh checkout changes. So each rule carries a digest of the content of its
script and of every module of ours that the script reaches, found from the import statements
themselves. In `schemas`, which all rules share, only the definitions that a script names
count: a new column of one table does not rerun the makers of the others.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGES = ("cmedplan", "cmedprep")
SHARED_BY_NAME = "cmedprep.schemas"


@cache
def code_fingerprint(script: Path) -> str:
    """Return the SHA-256 of a script and of all modules of ours that it imports."""
    sources, definitions = reach(script)
    digest = hashlib.sha256()
    for path in sorted(sources, key=lambda path: path.name):
        digest.update(path.name.encode() + b"\0" + _text(path).encode() + b"\0")
    for segment in _segments(script.parent / _file(SHARED_BY_NAME), definitions):
        digest.update(segment.encode() + b"\0")
    return digest.hexdigest()


def reach(script: Path) -> tuple[frozenset[Path], frozenset[str]]:
    """Return the modules that a script reaches, and the names of `schemas` they use."""
    sources: set[Path] = {script}
    names: set[str] = set()
    waiting = [script]
    while waiting:
        for module, imported in _imports(waiting.pop()):
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
    for node in ast.walk(ast.parse(_text(path))):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            names = frozenset(alias.name for alias in node.names)
            if module in PACKAGES:  # from cmedprep import video
                found |= {(f"{module}.{name}", frozenset({"*"})) for name in names}
            elif module.split(".")[0] in PACKAGES:  # from cmedprep.video import Frame
                found.add((module, names))
    return frozenset(found)


def _file(module: str) -> str:
    return module.replace(".", "/") + ".py"


def _segments(path: Path, names: Iterable[str]) -> list[str]:
    """Return the source of the named top-level definitions and of those they use."""
    text = _text(path)
    defined: dict[str, ast.stmt] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            defined |= {t.id: node for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            defined[node.target.id] = node
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined[node.name] = node
    reached: set[str] = set()
    waiting = [*defined] if "*" in names else [name for name in names if name in defined]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            used = {n.id for n in ast.walk(defined[name]) if isinstance(n, ast.Name)}
            waiting += used & defined.keys()
    return [ast.get_source_segment(text, defined[name]) or "" for name in sorted(reached)]
