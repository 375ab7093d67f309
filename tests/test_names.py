"""Names are the same when a person would say so, and become paths only when that is safe."""

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmedplan.names import (
    VIDEO_SUFFIXES,
    emotion_key,
    fault,
    has_video_suffix,
    key,
    path_component,
    stem,
    tidy,
)
from cmedplan.plan import subject_fault

COMPOSED, DECOMPOSED = "Zo\u00eb_01", "Zoe\u0308_01"


@pytest.mark.parametrize(
    "spelling",
    ["Subject_01", "subject_01", "SUBJECT 01", " Subject 01 ", "Subject  _ 01", "Subject\u00a001"],
)
def test_spellings_that_differ_in_case_and_spaces_are_one_name(spelling: str) -> None:
    assert key(spelling) == key("Subject_01")


@pytest.mark.parametrize(
    "other", ["Subject01", "Subject_1", "Subject-01", "Subject_01.", "Subject"]
)
def test_names_that_a_person_tells_apart_stay_apart(other: str) -> None:
    assert key(other) != key("Subject_01")


def test_unicode_composition_makes_no_other_name() -> None:
    assert COMPOSED != DECOMPOSED
    assert key(COMPOSED) == key(DECOMPOSED)
    assert tidy(DECOMPOSED) == path_component(DECOMPOSED) == COMPOSED


@given(st.text())
def test_a_key_is_its_own_key(name: str) -> None:
    assert key(key(name)) == key(name)


# The dotless i is the one letter of these whose capital is another letter's.
@given(st.text(st.characters(max_codepoint=0x17F, exclude_characters="\u0131")))
def test_neither_case_nor_composition_nor_margins_change_a_key(name: str) -> None:
    assert key(name) == key(f"  {unicodedata.normalize('NFD', name)}\t") == key(key(name).upper())


@pytest.mark.parametrize("spelling", ["No_Emotion", "no emotion", "NoEmotion", "NO-EMOTION "])
def test_emotions_are_compared_without_any_separator(spelling: str) -> None:
    assert emotion_key(spelling) == emotion_key("No_Emotion")


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("vid1.mp4", "vid1"),
        ("vid1.MP4", "vid1"),
        ("vid1.mpg.mp4", "vid1.mpg"),
        ("take.2", "take.2"),
        ("vid1", "vid1"),
        ("notes.txt", "notes.txt"),
    ],
)
def test_only_a_video_ending_is_taken_off(filename: str, expected: str) -> None:
    assert stem(filename) == expected
    assert has_video_suffix(filename) is (filename != expected)


@pytest.mark.parametrize("filename", ["", ".", "..", "..mp4", "...mp4", ".mp4", "/", "a/..mp4"])
def test_every_string_has_a_stem_however_odd(filename: str) -> None:
    assert isinstance(stem(filename), str)


@given(st.text())
def test_names_never_raise(name: str) -> None:
    for function in (key, emotion_key, has_video_suffix, stem, tidy, fault, path_component):
        function(name)


def test_a_space_behind_the_ending_does_not_hide_a_video() -> None:
    assert has_video_suffix("vid1.mp4 ")


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_endings_are_known_in_any_case(suffix: str) -> None:
    assert has_video_suffix("vid" + suffix.upper())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("../x.mp4", "another folder"),
        ("/etc/passwd", "another folder"),
        ("a\\b.mp4", "another folder"),
        ("a\0.mp4", "control or invisible"),
        ("a\nb.mp4", "control or invisible"),
        ("a\u200bb.mp4", "control or invisible"),
        ("a\udce9.mp4", "control or invisible"),
        ("-rf", "begins with '-'"),
        (" -rf", "begins with '-'"),
        (".hidden", "begins with '.'"),
        ("..", "begins with '.'"),
        ("~user", "begins with '~'"),
    ],
)
def test_an_unsafe_name_is_refused_with_the_reason(name: str, why: str) -> None:
    assert why in (fault(name) or "")
    assert subject_fault(name)


@pytest.mark.parametrize("name", ["vid1.mp4", "Subject 01", "Zo\u00eb", "a+b", "\u5f20\u4f1f", "7"])
def test_an_ordinary_name_is_accepted(name: str) -> None:
    assert fault(name) is None
    assert subject_fault(name) is None


@pytest.mark.parametrize("name", ["Kind:1", "a*b", "a{b}", "a=b", "a'b", "x" * 121])
def test_a_subject_that_could_not_name_a_file_is_refused(name: str) -> None:
    assert fault(name) is None
    assert subject_fault(name)


def test_a_subject_that_readers_of_a_folder_would_skip_is_refused() -> None:
    """Parquet readers leave out files that begin with `_`, so the subject would be lost."""
    assert subject_fault("_Subject_01")
    assert subject_fault("Index")  # reports/index.html is the page of the data set


@given(st.text())
def test_any_name_becomes_one_safe_component_of_a_path(name: str) -> None:
    component = path_component(name)
    assert PurePosixPath(component).parts == (component,)
    assert component not in (".", "..")
    assert component[0] not in ".-~"
    assert len(component.encode()) <= 120
    assert all(c.isalnum() or c in "_.+-" for c in component)


@given(st.text())
def test_what_is_safe_as_a_subject_is_written_as_it_is(name: str) -> None:
    if subject_fault(name) is None:
        assert path_component(name) == tidy(name)
        assert subject_fault(tidy(name)) is None
