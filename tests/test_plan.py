"""The plan accounts for every metadata row and every video, and never guesses."""

import csv
import errno
import os
import random
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmedplan.config import complete_config
from cmedplan.errors import PlanError
from cmedplan.names import has_video_suffix
from cmedplan.plan import Plan, PlannedClip, digest_clips, digest_numbers, make_plan, parse_apex

SCHEMA = Path(__file__).parents[1] / "workflow/schemas/config.schema.yaml"
SUBJECTS, FLAT = "FinalFullVideos_subjects", "FinalFullVideos"

Row = tuple[str, str, str, str]
"""Subject, filename, emotion, apex frame."""


@cache
def defaults() -> dict[str, Any]:
    config: dict[str, Any] = {"dataset": {"root": "."}}
    complete_config(config, SCHEMA)
    return config


def complete(root: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    dataset = defaults()["dataset"] | {"root": str(root)} | config.get("dataset", {})
    return defaults() | config | {"dataset": dataset}


def write_rows(root: Path, rows: Iterable[Row]) -> None:
    with open(root / "video_emotion_metadata.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("subject", "filename", "emotion", "apex_frame"), *rows])


def lay_out(root: Path, files: Iterable[str], rows: Iterable[Row], folder: str = SUBJECTS) -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name in files:
        file = root / folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    write_rows(root, rows)
    return root


def plan_of(
    root: Path, files: Iterable[str], rows: Iterable[Row], folder: str = SUBJECTS, **config: Any
) -> Plan:
    return make_plan(complete(lay_out(root, files, rows, folder), config))


def only(plan: Plan) -> PlannedClip:
    (clip,) = plan.all_clips()
    return clip


def statuses(plan: Plan) -> Counter[str]:
    return Counter(clip.status for clip in plan.all_clips())


def of_rows(plan: Plan) -> list[PlannedClip]:
    """Return the clips of the metadata rows, in the rows' order."""
    clips = [(clip.row.number, clip) for clip in plan.all_clips() if clip.row]
    return [clip for _, clip in sorted(clips, key=lambda pair: pair[0])]


def refusal(config: Mapping[str, Any]) -> str:
    with pytest.raises(PlanError) as error:
        make_plan(config)
    return str(error.value)


# --- matching --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    [
        "Happy/Subject_01/vid 1.mp4",
        "happy/subject_01/VID_1.MP4",
        "HAPPY/Subject 01/vid 1.mp4",
        " Happy/ Subject_01 /vid  1.mp4",
    ],
)
@pytest.mark.parametrize(
    "row",
    [
        ("Subject_01", "vid 1.mp4", "Happy", "3"),
        ("subject 01", "Vid_1.mp4", "happy", "3"),
        (" SUBJECT_01 ", " vid 1", " Happy ", "3"),
    ],
)
def test_a_row_finds_its_file_despite_case_spaces_and_a_missing_ending(
    tmp_path: Path, file: str, row: Row
) -> None:
    clip = only(plan_of(tmp_path, [file], [row]))
    assert clip.status == "ok", clip.reason
    assert clip.video is not None
    assert clip.video.path == f"{SUBJECTS}/{file}"
    assert clip.emotion == "Happy"
    assert clip.filename == PurePosixPath(file).name
    assert clip.subject is not None
    assert clip.subject.casefold() == "subject_01"


def test_the_identifier_says_subject_emotion_and_clip(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["Happy/Subject 01/vid 1.mp4"], [("subject_01", "vid 1", "happy", "")])
    assert only(plan).clip_id == "Subject_01/Happy/vid_1"
    assert list(plan.subjects) == ["Subject_01"]


@pytest.mark.parametrize("emotion", ["No_Emotion", "no emotion", "NoEmotion", "NO-EMOTION"])
def test_the_emotion_has_one_spelling_whatever_folder_and_row_say(
    tmp_path: Path, emotion: str
) -> None:
    plan = plan_of(tmp_path, ["No Emotion/S1/a.mp4"], [("S1", "a.mp4", emotion, "")])
    assert (only(plan).status, only(plan).emotion) == ("ok", "No_Emotion")


def test_composed_and_decomposed_names_are_the_same(tmp_path: Path) -> None:
    name = "Zo\u00eb"
    folder, file = unicodedata.normalize("NFD", name), unicodedata.normalize("NFD", "\u00e9.mp4")
    plan = plan_of(tmp_path, [f"Happy/{folder}/{file}"], [(name, "\u00e9.mp4", "Happy", "1")])
    assert only(plan).status == "ok"
    assert only(plan).clip_id == f"{name}/Happy/\u00e9"


def test_another_ending_is_another_file(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["Happy/S1/a.avi"], [("S1", "a.mp4", "Happy", "1")])
    assert statuses(plan) == {"missing_video": 1, "stray_video": 1}


def test_an_exact_spelling_wins_over_variants(tmp_path: Path) -> None:
    files = ["Happy/S1/vid1.mp4", "Happy/S1/VID1.mp4", "happy/S1/vid1.mp4", "Happy/s1/vid1.mp4"]
    plan = plan_of(tmp_path, files, [("S1", "vid1.mp4", "Happy", "1")])
    (clip,) = of_rows(plan)
    assert clip.video is not None
    assert clip.video.path == f"{SUBJECTS}/Happy/S1/vid1.mp4"
    assert statuses(plan) == {"ok": 1, "stray_video": 3}


@pytest.mark.parametrize(
    ("files", "filename"),
    [
        (["vid1.mp4", "VID1.mp4"], "Vid1.mp4"),
        (["vid1.mp4", "vid1.avi"], "vid1"),
        (["vid 1.mp4", "vid_1.mp4"], "VID 1.mp4"),
    ],
)
def test_a_row_that_several_files_fit_takes_none(
    tmp_path: Path, files: list[str], filename: str
) -> None:
    paths = [f"Happy/S1/{name}" for name in files]
    (clip,) = of_rows(plan_of(tmp_path, paths, [("S1", filename, "Happy", "1")]))
    assert (clip.status, clip.video) == ("ambiguous_video", None)
    assert all(path in clip.reason for path in paths)


def test_the_very_filename_decides_however_its_folders_are_spelled(tmp_path: Path) -> None:
    files = ["Happy/S1/a b.mp4", "Happy/S1/a_b.mp4"]
    plan = plan_of(
        tmp_path, files, [("s1", "a b.mp4", "happy", "1"), ("S1", "a_b.mp4", "HAPPY", "2")]
    )
    assert statuses(plan) == {"ok": 2}
    assert [clip.filename == clip.row.filename for clip in of_rows(plan) if clip.row] == [True] * 2


def test_names_that_differ_only_by_case_are_two_clips_with_two_identifiers(tmp_path: Path) -> None:
    files = ["Happy/S1/vid1.mp4", "Happy/S1/VID1.mp4"]
    rows = [("S1", "vid1.mp4", "Happy", "1"), ("S1", "VID1.mp4", "Happy", "2")]
    plan = plan_of(tmp_path, files, rows)
    assert statuses(plan) == {"ok": 2}
    assert len({clip.clip_id.casefold() for clip in plan.all_clips()}) == 2


def test_a_missing_video_says_where_it_should_be(tmp_path: Path) -> None:
    clip = only(plan_of(tmp_path, [], [("S1", "a.mp4", "Happy", "1")]))
    assert clip.status == "missing_video"
    assert "Happy/S1" in clip.reason


def test_a_missing_video_of_another_ending_is_not_a_duplicate(tmp_path: Path) -> None:
    rows = [("S1", "a.mp4", "Happy", "1"), ("S1", "a.avi", "Happy", "1")]
    assert statuses(plan_of(tmp_path, [], rows)) == {"missing_video": 2}


# --- repeated rows ---------------------------------------------------------------------------


def test_identical_rows_are_one_clip_and_duplicates(tmp_path: Path) -> None:
    rows = [("S1", "a.mp4", "Happy", "7")] * 3
    plan = plan_of(tmp_path, ["Happy/S1/a.mp4"], rows)
    assert statuses(plan) == {"ok": 1, "duplicate": 2}
    assert sum(clip.video is not None for clip in plan.all_clips()) == 1


def test_rows_that_say_the_same_in_other_words_do_not_conflict(tmp_path: Path) -> None:
    rows = [("S1", "a.mp4", "Happy", "7"), ("s1", "A", "happy", " 7.0 ")]
    plan = plan_of(tmp_path, ["Happy/S1/a.mp4"], rows)
    assert statuses(plan) == {"ok": 1, "duplicate": 1}


@pytest.mark.parametrize("other", ["8", "", "abc"])
def test_rows_that_contradict_each_other_leave_the_clip_without_an_apex(
    tmp_path: Path, other: str
) -> None:
    rows = [("S1", "a.mp4", "Happy", "7"), ("S1", "a.mp4", "Happy", other)]
    plan = plan_of(tmp_path, ["Happy/S1/a.mp4"], rows)
    assert statuses(plan) == {"conflicting_apex": 1, "duplicate": 1}
    (kept,) = [clip for clip in plan.all_clips() if clip.video]
    assert "`7`" in kept.reason
    assert f"`{other or 'blank'}`" in kept.reason


def test_which_of_repeated_rows_is_kept_does_not_hang_on_their_order(tmp_path: Path) -> None:
    rows = [("S1", "a.mp4", "Happy", "7"), ("s1", "A", "happy", " 7.0 "), ("S1", "a", "Happy", "7")]
    plans = [
        plan_of(tmp_path, ["Happy/S1/a.mp4"], order)
        for order in (rows, rows[::-1], rows[1:] + rows[:1])
    ]
    assert len({digest_clips(plan.clips("S1"), files=False) for plan in plans}) == 1


def test_a_row_that_names_no_clip_is_no_duplicate_of_another(tmp_path: Path) -> None:
    rows = [("S1", "a.mp4", "Bored", "7"), ("S1", "a.mp4", "Bored", "8")]
    assert statuses(plan_of(tmp_path, [], rows)) == {"unknown_emotion": 2}
    nobody = [("", "a.mp4", "Happy", "7"), ("", "a.mp4", "Happy", "7")]
    assert statuses(plan_of(tmp_path, [], nobody)) == {"invalid_name": 2}


def test_the_same_name_under_two_emotions_is_two_clips(tmp_path: Path) -> None:
    rows = [("S1", "a.mp4", "Happy", "7"), ("S1", "a.mp4", "Sad", "9")]
    plan = plan_of(tmp_path, ["Happy/S1/a.mp4", "Sad/S1/a.mp4"], rows)
    assert statuses(plan) == {"ok": 2}


# --- layouts ---------------------------------------------------------------------------------


def test_the_same_filename_of_two_subjects_is_two_clips_by_subject(tmp_path: Path) -> None:
    rows = [("S1", "a.mp4", "Happy", "7"), ("S2", "a.mp4", "Happy", "9")]
    plan = plan_of(tmp_path, ["Happy/S1/a.mp4", "Happy/S2/a.mp4"], rows)
    assert [clip.clip_id for clip in plan.all_clips()] == ["S1/Happy/a", "S2/Happy/a"]
    assert statuses(plan) == {"ok": 2}


def test_a_flat_file_that_two_subjects_claim_is_given_to_neither(tmp_path: Path) -> None:
    rows = [
        *(("S1", "a.mp4", "Happy", "7"), ("S1", "a.mp4", "Happy", "7")),
        *(("S2", "A", "Happy", "7"), ("S3", "b.mp4", "Happy", "7")),
    ]
    plan = plan_of(tmp_path, ["Happy/a.mp4", "Happy/b.mp4"], rows, FLAT)
    assert [clip.status for clip in of_rows(plan)].count("ambiguous_video") == 2
    assert of_rows(plan)[3].status == "ok"
    assert all("`S1`, `S2`" in c.reason for c in of_rows(plan) if c.status == "ambiguous_video")
    (stray,) = plan.homeless
    assert (
        stray.reason
        == "FinalFullVideos/Happy/a.mp4: no usable metadata row names this file and no other"
    )


def test_in_the_flat_layout_the_subject_comes_from_the_row(tmp_path: Path) -> None:
    rows = [("subject 01", "a.mp4", "Happy", "1"), ("Subject_02", "b", "happy", "1")]
    plan = plan_of(tmp_path, ["Happy/a.mp4", "Happy/B.MP4", "Happy/c.mp4"], rows, FLAT)
    assert list(plan.subjects) == ["Subject_02", "subject_01"]
    assert statuses(plan) == {"ok": 2, "stray_video": 1}
    assert [clip.status for clip in plan.homeless] == ["stray_video"]


def test_auto_prefers_the_folders_by_subject(tmp_path: Path) -> None:
    row = ("S1", "a.mp4", "Happy", "1")
    lay_out(tmp_path, ["Happy/a.mp4"], [], FLAT)
    clip = only(plan_of(tmp_path, ["Happy/S1/a.mp4"], [row]))
    assert clip.video is not None
    assert clip.video.path == f"{SUBJECTS}/Happy/S1/a.mp4"


@pytest.mark.parametrize(
    ("layout", "folder", "file"),
    [
        ("auto", "finalfullvideos_subjects", "Happy/S1/a.mp4"),
        ("subjects", "FinalFullVideos subjects", "Happy/S1/a.mp4"),
        ("auto", "finalfullvideos", "Happy/a.mp4"),
        ("flat", "FINALFULLVIDEOS", "Happy/a.mp4"),
    ],
)
def test_the_layouts_folder_is_found_despite_its_case(
    tmp_path: Path, layout: str, folder: str, file: str
) -> None:
    row = ("S1", "a.mp4", "Happy", "1")
    plan = plan_of(tmp_path, [file], [row], folder, dataset={"layout": layout})
    assert only(plan).status == "ok"


@pytest.mark.parametrize(("layout", "folder"), [("subjects", SUBJECTS), ("flat", FLAT)])
def test_a_layout_that_is_not_there_is_told_with_what_is(
    tmp_path: Path, layout: str, folder: str
) -> None:
    (tmp_path / "Other").mkdir()
    write_rows(tmp_path, [])
    message = refusal(complete(tmp_path, {"dataset": {"layout": layout}}))
    assert f"dataset.layout` ({layout})" in message
    assert f"`{folder}`" in message
    assert "`Other`" in message


@pytest.mark.parametrize("kind", ["nowhere", "a file"])
def test_a_root_that_is_no_folder_is_told(tmp_path: Path, kind: str) -> None:
    if kind == "a file":
        (tmp_path / "root").touch()
    message = refusal(complete(tmp_path / "root", {}))
    assert "dataset.root" in message
    assert str(tmp_path / "root") in message


@pytest.mark.parametrize("function", ["open", "scandir"])
@pytest.mark.parametrize("folder", ["Happy", "Happy/S1"])
def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, folder: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who runs the tests may be root, who may read everywhere.
    lay_out(tmp_path, ["Happy/S1/a.mp4"], [("S1", "a.mp4", "Happy", "1")])
    closed = (tmp_path / SUBJECTS / folder).stat().st_ino
    real: Any = getattr(os, function)

    def deny(place: Any, *arguments: Any) -> Any:
        if place != tmp_path and os.stat(place).st_ino == closed:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(place, *arguments)

    monkeypatch.setattr(os, function, deny)
    message = refusal(complete(tmp_path, {}))
    assert str(tmp_path / SUBJECTS / folder) in message
    assert "Permission denied" in message


def test_a_metadata_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / SUBJECTS).mkdir()
    message = refusal(complete(tmp_path, {"dataset": {"metadata": "clips.csv"}}))
    assert str(tmp_path / "clips.csv") in message
    assert "dataset.metadata" in message


# --- names that are no names -----------------------------------------------------------------


@pytest.mark.parametrize(
    "filename",
    [
        *("", " ", "../../secret.mp4", "/etc/passwd", "..\\a.mp4", "a\0.mp4", "-rf.mp4"),
        *(".hidden.mp4", "~.mp4", "..mp4", "...mp4", "sub/a.mp4", "a.mp4/"),
    ],
)
def test_a_filename_that_is_none_is_a_row_with_its_reason(tmp_path: Path, filename: str) -> None:
    (tmp_path / "secret.mp4").touch()
    clip = only(plan_of(tmp_path, [], [("S1", filename, "Happy", "1")]))
    assert (clip.status, clip.subject, clip.video) == ("invalid_name", "S1", None)
    assert repr(filename) in clip.reason


@pytest.mark.parametrize(
    "subject", ["", "  ", "..", "../S1", "/S1", "a\\b", "a\0", "-S1", ".S1", "~S1", "S:1", "S*"]
)
def test_a_subject_that_is_none_makes_a_row_without_subject(tmp_path: Path, subject: str) -> None:
    plan = plan_of(tmp_path, [], [(subject, "a.mp4", "Happy", "1")])
    assert not plan.subjects
    (clip,) = plan.homeless
    assert (clip.status, clip.subject, clip.video) == ("invalid_name", None, None)
    assert repr(subject) in clip.reason


@pytest.mark.parametrize("emotion", ["Bored", "", "../Happy", "Happy/S1"])
def test_an_unknown_emotion_is_told_with_those_that_are_known(tmp_path: Path, emotion: str) -> None:
    clip = only(plan_of(tmp_path, [], [("S1", "a.mp4", emotion, "1")]))
    assert (clip.status, clip.subject) == ("unknown_emotion", "S1")
    assert repr(emotion) in clip.reason
    assert "Happy" in clip.reason
    assert "No_Emotion" in clip.reason


def test_the_emotions_of_the_config_are_the_known_ones(tmp_path: Path) -> None:
    labels = {"three_class": {"Bored": None}, "without_expression": "Bored"}
    rows = [("S1", "a.mp4", "bored", "1"), ("S1", "b.mp4", "Happy", "1")]
    plan = plan_of(tmp_path, ["Bored/S1/a.mp4", "Happy/S1/b.mp4"], rows, labels=labels)
    assert [clip.status for clip in of_rows(plan)] == ["ok", "unknown_emotion"]


def test_a_row_with_surplus_cells_is_not_believed(tmp_path: Path) -> None:
    lay_out(tmp_path, ["Happy/S1/a.mp4"], [])
    with open(tmp_path / "video_emotion_metadata.csv", "a") as file:
        file.write("S1,a.mp4,Happy,1,5\n")
    plan = make_plan(complete(tmp_path, {}))
    assert statuses(plan) == {"malformed_row": 1, "stray_video": 1}


def test_names_that_are_not_unicode_do_not_reach_the_tables(tmp_path: Path) -> None:
    """Such names are common on disks that were written by other systems."""
    folder = tmp_path / SUBJECTS / "Happy" / "S1"
    folder.mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.mp4")).touch()
    clip = only(plan_of(tmp_path, [], []))
    texts = (clip.clip_id, clip.filename, clip.emotion, clip.reason, clip.subject or "")
    for text in (*texts, clip.video.path if clip.video else ""):
        text.encode()


# --- links -----------------------------------------------------------------------------------


def test_a_link_to_a_file_outside_the_root_is_never_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    secret.touch()
    root = lay_out(tmp_path / "root", ["Happy/S1/b.mp4"], [("S1", "a.mp4", "Happy", "1")])
    (root / SUBJECTS / "Happy/S1/a.mp4").symlink_to(secret)
    plan = make_plan(complete(root, {}))
    (row,) = of_rows(plan)
    assert (row.status, row.video) == ("forbidden_video", None)
    assert "outside" in row.reason
    assert {c.video.path for c in plan.all_clips() if c.video} == {f"{SUBJECTS}/Happy/S1/b.mp4"}


def test_a_file_that_a_row_names_is_no_stray_however_faulty(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "root", ["Happy/S1/b.mp4"], [("S1", "a.mp4", "Happy", "1")])
    (root / SUBJECTS / "Happy/S1/a.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    assert statuses(make_plan(complete(root, {}))) == {"forbidden_video": 1, "stray_video": 1}


@pytest.mark.parametrize("link", ["Happy", "Happy/S1"])
def test_a_link_to_a_folder_outside_the_root_is_never_followed(tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    for place in ("", "S1"):
        (outside / place).mkdir(exist_ok=True)
        (outside / place / "a.mp4").touch()
    root = lay_out(tmp_path / "root", ["Sad/S1/b.mp4"], [("S1", "a.mp4", "Happy", "1")])
    (root / SUBJECTS / link).parent.mkdir(exist_ok=True)
    (root / SUBJECTS / link).symlink_to(outside)
    plan = make_plan(complete(root, {}))
    (row,) = of_rows(plan)
    assert row.status in ("missing_video", "forbidden_video")
    assert row.video is None
    assert {c.video.path for c in plan.all_clips() if c.video} == {f"{SUBJECTS}/Sad/S1/b.mp4"}


def test_a_layout_folder_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "root").mkdir()
    write_rows(tmp_path / "root", [])
    (tmp_path / "root" / SUBJECTS).symlink_to(tmp_path / "outside")
    message = refusal(complete(tmp_path / "root", {}))
    assert str(tmp_path / "outside") in message


def test_a_link_to_a_file_inside_the_root_is_a_file(tmp_path: Path) -> None:
    root = lay_out(tmp_path, ["Happy/S1/b.mp4"], [("S1", "a.mp4", "Happy", "1")])
    (root / "store.mp4").write_bytes(b"1234")
    (root / SUBJECTS / "Happy/S1/a.mp4").symlink_to(root / "store.mp4")
    (row,) = of_rows(make_plan(complete(root, {})))
    assert row.status == "ok"
    assert row.video is not None
    assert row.video.size == 4


def test_links_that_lead_round_in_circles_end(tmp_path: Path) -> None:
    root = lay_out(tmp_path, ["Happy/S1/a.mp4"], [("S1", "a.mp4", "Happy", "1")])
    (root / SUBJECTS / "Happy/loop").symlink_to(root / SUBJECTS)
    (root / SUBJECTS / "Happy/S1/b.mp4").symlink_to(root / SUBJECTS / "Happy/S1/b.mp4")
    assert statuses(make_plan(complete(root, {}))) == {"ok": 1, "stray_video": 1}


def test_a_root_that_is_a_link_itself_is_followed(tmp_path: Path) -> None:
    lay_out(tmp_path / "real", ["Happy/S1/a.mp4"], [("S1", "a.mp4", "Happy", "1")])
    (tmp_path / "root").symlink_to(tmp_path / "real")
    assert statuses(make_plan(complete(tmp_path / "root", {}))) == {"ok": 1}


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    root = lay_out(tmp_path, ["Happy/S1/b.mp4"], [("S1", "a.mp4", "Happy", "1")])
    os.mkfifo(root / SUBJECTS / "Happy/S1/a.mp4")
    (row,) = of_rows(make_plan(complete(root, {})))
    assert (row.status, row.video) == ("forbidden_video", None)


# --- strays ----------------------------------------------------------------------------------


def test_a_video_without_a_row_is_a_clip_of_its_folders_subject(tmp_path: Path) -> None:
    clip = only(plan_of(tmp_path, ["happy/Subject 01/a.mp4"], []))
    assert (clip.status, clip.subject, clip.emotion) == ("stray_video", "Subject_01", "Happy")
    assert "happy/Subject 01/a.mp4" in clip.reason


@pytest.mark.parametrize("file", ["a.mp4", "Happy/a.mp4", "Happy/S1/take/a.mp4", "H/S/t/u/a.mp4"])
def test_a_video_at_the_wrong_depth_is_a_stray_without_subject(tmp_path: Path, file: str) -> None:
    plan = plan_of(tmp_path, [file], [("S1", "a.mp4", "Happy", "1")])
    assert statuses(plan) == {"missing_video": 1, "stray_video": 1}
    (stray,) = plan.homeless
    assert stray.subject is None
    assert file in stray.reason


@pytest.mark.parametrize("name", [".hidden.mp4", "._vid1.mp4", ".DS_Store", "Thumbs.db", "read.me"])
def test_hidden_files_and_files_that_are_no_videos_are_no_strays(tmp_path: Path, name: str) -> None:
    assert not list(plan_of(tmp_path, [f"Happy/S1/{name}", name], []).all_clips())


def test_a_row_may_name_a_file_without_a_videos_ending(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["Happy/S1/clip.dat"], [("S1", "clip.dat", "Happy", "1")])
    assert statuses(plan) == {"ok": 1}


# --- the selection ---------------------------------------------------------------------------


def test_subjects_are_selected_despite_their_spelling(tmp_path: Path) -> None:
    files = [f"Happy/Subject_{i}/a.mp4" for i in range(3)]
    plan = plan_of(tmp_path, files, [], subjects=["subject 2", "Subject_0"])
    assert plan.selected == ("Subject_0", "Subject_2")
    assert list(plan.subjects) == ["Subject_0", "Subject_1", "Subject_2"]


def test_all_subjects_are_selected_by_default(tmp_path: Path) -> None:
    assert plan_of(tmp_path, ["Happy/B/a.mp4", "Happy/A/a.mp4"], []).selected == ("A", "B")


def test_an_unknown_subject_in_the_config_is_named_with_those_there_are(tmp_path: Path) -> None:
    lay_out(tmp_path, ["Happy/S1/a.mp4"], [("S2", "a.mp4", "Happy", "1")])
    message = refusal(complete(tmp_path, {"subjects": ["S1", "S9"]}))
    assert "config key `subjects`" in message
    assert "`S1`, `S2`" in message
    assert "`S9`" in message


def test_the_clips_of_an_unknown_subject_are_refused(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["Happy/S1/a.mp4"], [])
    with pytest.raises(PlanError, match="S9"):
        plan.clips("S9")


# --- the apex cell ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "apex"),
    [("12", 12), ("12.0", 12), (" 12 ", 12), ("12.", 12), ("+12", 12), ("-1", -1), ("0", 0)],
)
def test_a_whole_number_is_read_however_it_is_written(cell: str, apex: int) -> None:
    assert parse_apex(cell) == apex


@pytest.mark.parametrize("cell", ["", " ", "nan", "NaN", "NA", "N/A", "null", "None"])
def test_a_blank_cell_has_many_spellings(cell: str) -> None:
    assert parse_apex(cell) is None


@pytest.mark.parametrize("cell", ["abc", "12.5", "12,0", "1e1", "1 2", "12f", "-", "inf", "0x1"])
def test_what_is_no_whole_number_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="not a whole number"):
        parse_apex(cell)


@given(st.integers(-(10**9) + 1, 10**9 - 1))
def test_every_whole_number_is_read(apex: int) -> None:
    assert parse_apex(str(apex)) == parse_apex(f" {apex}.00 ") == apex


@given(st.text(max_size=8))
def test_any_cell_is_a_number_blank_or_refused(cell: str) -> None:
    with suppress(ValueError):
        assert parse_apex(cell) is None or isinstance(parse_apex(cell), int)


# --- digests ---------------------------------------------------------------------------------


@pytest.fixture
def clips(tmp_path: Path) -> tuple[PlannedClip, ...]:
    rows = [("S1", "a.mp4", "Happy", "1"), ("S1", "b.mp4", "Sad", "2")]
    return plan_of(tmp_path, ["Happy/S1/a.mp4", "Sad/S1/b.mp4"], rows).clips("S1")


def test_the_digest_of_files_changes_with_their_size_and_time_alone(
    clips: tuple[PlannedClip, ...],
) -> None:
    first, *others = clips
    assert first.video is not None
    assert first.row is not None
    before = digest_clips(clips, files=True)
    for change in ({"size": 9}, {"ctime_ns": 9}, {"path": "elsewhere.mp4"}):
        changed = first._replace(video=first.video._replace(**change))  # type: ignore[arg-type]
        assert digest_clips([changed, *others], files=True) != before
        assert digest_clips([changed, *others], files=False) == digest_clips(clips, files=False)
    renamed = first._replace(row=first.row._replace(apex_frame="9"))
    assert digest_clips([renamed, *others], files=True) == before


@pytest.mark.parametrize("cell", ["subject", "filename", "emotion", "apex_frame"])
def test_the_digest_of_rows_changes_with_every_cell(
    clips: tuple[PlannedClip, ...], cell: str
) -> None:
    first, *others = clips
    assert first.row is not None
    changed = first._replace(row=first.row._replace(**{cell: "9"}))  # type: ignore[arg-type]
    assert digest_clips([changed, *others], files=False) != digest_clips(clips, files=False)


def test_the_digest_of_rows_does_not_know_their_numbers_and_that_of_numbers_does(
    clips: tuple[PlannedClip, ...],
) -> None:
    first, *others = clips
    assert first.row is not None
    moved = [first._replace(row=first.row._replace(number=9)), *others]
    assert digest_clips(moved, files=False) == digest_clips(clips, files=False)
    assert digest_numbers(moved) != digest_numbers(clips)


def test_a_video_that_is_written_anew_changes_the_digest_of_its_subject_alone(
    tmp_path: Path,
) -> None:
    lay_out(tmp_path, ["Happy/S1/a.mp4", "Happy/S2/a.mp4"], [])
    config = complete(tmp_path, {})
    before = make_plan(config)
    os.utime(tmp_path / SUBJECTS / "Happy/S1/a.mp4", ns=(1, 1))
    after = make_plan(config)
    changed = [
        subject
        for subject in after.subjects
        if digest_clips(before.clips(subject), files=True)
        != digest_clips(after.clips(subject), files=True)
    ]
    assert changed == ["S1"]


# --- nothing is lost -------------------------------------------------------------------------

SPELLINGS = {
    "emotion": ["Happy", "happy", "No Emotion", "No_Emotion", "Bored", ".."],
    "subject": ["S 1", "s_1", "S2", "S:3", "", "\u00e9", "e\u0301", "\u00df", "SS", "-x"],
    "filename": [
        *("a.mp4", "A.MP4", "a", "a.avi", "b c.mp4", "b_c.mp4", "b:c.mp4", "../a.mp4"),
        *("a~2.mp4", "..mp4", "\u00e9.mov", "e\u0301.mov", "a.mp4 ", "take.2", "x" * 150 + ".mp4"),
    ],
    "apex": ["", "3", "3.0", "4", "x"],
}


def spelled(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from(SPELLINGS[kind])


def on_disk(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from([s for s in SPELLINGS[kind] if s and "/" not in s and s != ".."])


rows_strategy = st.lists(
    st.tuples(spelled("subject"), spelled("filename"), spelled("emotion"), spelled("apex")),
    max_size=12,
)
trees = {
    SUBJECTS: st.lists(
        st.tuples(on_disk("emotion"), on_disk("subject"), on_disk("filename")), max_size=10
    ),
    FLAT: st.lists(st.tuples(on_disk("emotion"), on_disk("filename")), max_size=8),
}


def seen_by(plan: Plan) -> Counter[tuple[object, ...]]:
    """Return what the plan says of each clip, without the rows' numbers."""
    return Counter(
        (
            clip.clip_id,
            *(clip.subject, clip.emotion, clip.filename, clip.status, clip.reason),
            clip.row and (clip.row.subject, clip.row.filename, clip.row.emotion),
            clip.row and clip.row.apex_frame,
            clip.video and clip.video.path,
        )
        for clip in plan.all_clips()
    )


def videos_below(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and has_video_suffix(path.name) and not path.name.startswith("."):
            yield path.relative_to(folder.parent).as_posix()


@pytest.mark.parametrize("folder", [SUBJECTS, FLAT])
@settings(max_examples=50, deadline=None)
@given(data=st.data(), rows=rows_strategy, seed=st.integers(0, 9))
def test_every_row_and_every_video_is_in_exactly_one_clip_whatever_the_order(
    folder: str, data: st.DataObject, rows: Sequence[Row], seed: int
) -> None:
    tree = data.draw(trees[folder])
    with TemporaryDirectory() as name:
        config = complete(Path(name), {})
        lay_out(Path(name), ["/".join(parts) for parts in tree], rows, folder)
        plan = make_plan(config)
        write_rows(Path(name), random.Random(seed).sample(rows, len(rows)))
        again = make_plan(config)
        videos = Counter(videos_below(Path(name) / folder))
    clips = list(plan.all_clips())

    assert sorted(clip.row.number for clip in clips if clip.row) == list(range(1, len(rows) + 1))
    for clip in clips:
        if clip.row:
            row = (clip.row.subject, clip.row.filename, clip.row.emotion, clip.row.apex_frame)
            assert row == rows[clip.row.number - 1]
    opened = Counter(clip.video.path for clip in clips if clip.video)
    assert opened | videos == opened
    assert set(opened.values()) <= {1}
    assert all((clip.row is None) == (clip.status == "stray_video") for clip in clips)
    assert all(clip.reason for clip in clips if clip.status != "ok")
    assert all(clip.video for clip in clips if clip.status in ("ok", "conflicting_apex"))

    identifiers = [clip.clip_id for clip in clips]
    assert len({identifier.casefold() for identifier in identifiers}) == len(clips)
    for clip in clips:
        parts = PurePosixPath(clip.clip_id).parts
        assert len(parts) == 3
        assert "/".join(parts) == clip.clip_id
        assert not {"..", "."} & set(parts)
        assert parts[0] == (clip.subject or "~")
        assert all(ord(letter) > 32 and letter not in "\\:*?\"<>|'" for letter in clip.clip_id)

    assert seen_by(again) == seen_by(plan)
    for subject in plan.subjects:
        for files in (True, False):
            assert digest_clips(again.clips(subject), files=files) == digest_clips(
                plan.clips(subject), files=files
            )


@pytest.mark.parametrize("link", ["Happy", "Happy/S1"])
def test_rows_below_a_linked_folder_name_the_link(tmp_path: Path, link: str) -> None:
    elsewhere = tmp_path / "elsewhere" / "S1"
    elsewhere.mkdir(parents=True)
    (elsewhere / "a.mp4").touch()
    root = lay_out(tmp_path / "root", [], [("S1", "a.mp4", "Happy", "1")])
    place = root / SUBJECTS / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(elsewhere if "/" in link else elsewhere.parent)
    clip = only(make_plan(complete(root, {})))
    assert clip.status == "forbidden_video"
    assert f"{SUBJECTS}/{link}: it is a symbolic link" in clip.reason


def test_files_of_an_ambiguous_row_are_listed_as_such(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["Happy/S1/a.mp4", "Happy/S1/A.mp4"], [("s1", "a.MP4", "Happy", "1")])
    strays = [clip for clip in plan.all_clips() if clip.row is None]
    assert statuses(plan) == {"ambiguous_video": 1, "stray_video": 2}
    assert all(
        "no usable metadata row names this file and no other" in clip.reason for clip in strays
    )


def test_two_spellings_of_the_layouts_folder_are_no_choice(tmp_path: Path) -> None:
    root = lay_out(tmp_path, [], [], "finalfullvideos_SUBJECTS")
    (root / "Finalfullvideos_subjects").mkdir()
    assert "`Finalfullvideos_subjects`, `finalfullvideos_SUBJECTS`" in refusal(complete(root, {}))


def test_a_line_break_behind_a_name_is_forgiven(tmp_path: Path) -> None:
    assert only(plan_of(tmp_path, ["Happy/S1/a.mp4"], [("S1", "a.mp4\n", "Happy", "1")])).video


# --- batches ---------------------------------------------------------------------------------


@pytest.mark.parametrize("batches", [1, 2, 3, 7, 9])
def test_every_subject_is_in_one_batch(tmp_path: Path, batches: int) -> None:
    subjects = [f"S{number}" for number in range(7)]
    root = lay_out(tmp_path, [f"Happy/{subject}/a.mp4" for subject in subjects], [])
    chosen = [
        make_plan(complete(root, {"batch": f"{number}/{batches}"})).selected
        for number in range(1, batches + 1)
    ]
    assert sorted(subject for batch in chosen for subject in batch) == subjects
    assert max(map(len, chosen)) - min(map(len, chosen)) <= 1


def test_a_batch_is_of_the_subjects_that_are_named(tmp_path: Path) -> None:
    root = lay_out(tmp_path, [f"Happy/S{number}/a.mp4" for number in range(5)], [])
    named = {"subjects": ["S4", "S0", "S1"]}
    assert make_plan(complete(root, named | {"batch": "1/2"})).selected == ("S0", "S4")
    assert make_plan(complete(root, named | {"batch": "2/2"})).selected == ("S1",)


def test_a_batch_beyond_the_last_is_refused(tmp_path: Path) -> None:
    root = lay_out(tmp_path, ["Happy/S1/a.mp4"], [])
    with pytest.raises(PlanError, match="`batch`"):
        make_plan(complete(root, {"batch": "3/2"}))
