"""How names from the metadata file are compared, and when they may become paths.

Names in a spreadsheet and names of folders differ in case, in spaces against underscores
and in Unicode composition. Two names are the same here when their *keys* are equal; a
name becomes part of a path only when it is *safe*.
"""

import re
import unicodedata
from functools import lru_cache

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("3g2", "3gp", "asf", "avi", "divx", "dv", "flv", "gif", "m2ts", "m2v", "m4v", "mkv"),
        *("mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogv", "ts", "vob", "webm", "wmv"),
    )
)
"""File name endings, in lower case, by which a stray file is taken for a video."""

# A data set repeats its names: of subjects and emotions in every row, of clips in every folder.
_remembered = lru_cache(maxsize=2**15)

# Most names are of these letters alone, for which the rules below come to very little.
_is_plain = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_.+-]*").fullmatch

_SEPARATORS = re.compile(r"[\s_]+")
_UNSAFE = re.compile(r"[^\w.+-]")
_LONGEST = 120  # bytes; leaves room for a suffix under the usual limit of 255


@_remembered
def key(name: str) -> str:
    """Return the form under which two spellings of a name are equal.

    Case, Unicode composition and the choice between spaces and underscores are dropped;
    nothing else is, so that no two names a person would tell apart become one.

    >>> key(" Subject  01 ") == key("subject_01")
    True
    >>> key("subject1") == key("subject_01")
    False
    """
    if _is_plain(name) and "__" not in name:
        return name.lower()
    return _SEPARATORS.sub("_", unicodedata.normalize("NFC", name).strip()).casefold()


@_remembered
def emotion_key(name: str) -> str:
    """Return the form under which two spellings of an emotion are equal.

    >>> emotion_key("No_Emotion") == emotion_key("no emotion") == emotion_key("NoEmotion")
    True
    """
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFC", name)).casefold()


@_remembered
def has_video_suffix(filename: str) -> bool:
    """Tell whether a file name ends like a video's."""
    before, _, ending = filename.strip().rpartition(".")
    return bool(before) and f".{ending.lower()}" in VIDEO_SUFFIXES


def stem(filename: str) -> str:
    """Return a file name without its video ending, if it has one.

    >>> stem("vid1.MP4"), stem("take.2"), stem("vid1")
    ('vid1', 'take.2', 'vid1')
    """
    return filename.strip().rpartition(".")[0] if has_video_suffix(filename) else filename


@_remembered
def tidy(name: str) -> str:
    """Return a name as it is written in outputs: composed, stripped, without spaces."""
    if _is_plain(name):
        return name
    return re.sub(r"\s+", "_", unicodedata.normalize("NFC", name).strip())


@_remembered
def fault(name: str) -> str | None:
    """Say why a name must not become part of a path, or None if it may.

    >>> fault("Subject_01") is None
    True
    >>> fault("../secret")
    "it holds '/', which would lead to another folder"
    """
    if _is_plain(name):
        return None
    if not name.strip():
        return "it is empty"
    for character in "/\\":
        if character in name:
            return f"it holds {character!r}, which would lead to another folder"
    if any(unicodedata.category(character).startswith("C") for character in name.strip()):
        return "it holds a control or invisible character"
    if name.strip()[0] in ".-~":
        return f"it begins with {name.strip()[0]!r}"
    return None


@_remembered
def path_component(name: str) -> str:
    """Return a name as one safe component of an output path.

    Letters, digits and ``_ . + -`` stay, every other character becomes ``_``, and the
    result is cut to 120 bytes of UTF-8. Distinct names may become one: who needs them
    apart has to number them.
    """
    if _is_plain(name) and len(name) <= _LONGEST and name[-1] != ".":
        return name
    safe = _UNSAFE.sub("_", tidy(name)).lstrip(".-~") or "_"
    return safe.encode()[:_LONGEST].decode(errors="ignore").rstrip(".")
