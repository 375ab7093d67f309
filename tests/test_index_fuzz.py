"""Whatever a small data set holds, every row and every video ends in exactly one row of a table."""

import csv
import io
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from cmedplan.errors import PlanError
from cmedplan.names import has_video_suffix
from cmedplan.plan import PROCESSABLE, PlannedClip, make_plan
from cmedplan.scan import FOLDERS
from cmedprep import ledger
from cmedprep.schemas import INDEX, VIDEO_FACTS, VIDEOS
from cmedprep.tables import read_rows, write_table
from tests.test_plan import complete

LABELS = complete(Path("."), {})["labels"]
STATUSES = {
    line.split()[0].strip("`") for line in (ledger.__doc__ or "").splitlines() if line[:2] == "``"
} | {"ok"}

# Names as people write them, as they break, and as nobody would think of.
TRICKY = [
    *("S1", "s 1", "S_1", "a.mp4", "A.MP4", "a", "Happy", "happy", "No Emotion", "Bored"),
    *("", " ", ".", "..", "-", "-x", "~", "_", "CON", "{subject}", "*", "a.parquet", "%s"),
    *("../a.mp4", "..\\a.mp4", "/etc/passwd", "C:\\a.mp4", "a/b.mp4", "./a.mp4", "a.mp4/"),
    *("e\u0301.mp4", "\u00e9.mp4", "\u00df", "SS", "\u212a", "K", "\u202ea.mp4", "\ufeffS1"),
    *("a\nb.mp4", "a.mp4\n", '"', "'", ";", ",", "a;b", "\0", "a.mp4\0.png", "x" * 251 + ".mp4"),
]
names = st.one_of(st.sampled_from(TRICKY), st.text(max_size=12))
apexes = st.one_of(st.sampled_from(["", "3", "3.0", "-1", "nan", "x", "9" * 30]), names)
rows_of_cells = st.lists(st.lists(names | apexes, min_size=0, max_size=6), max_size=10)
rows_in_order = st.lists(st.tuples(names, names, names, apexes), max_size=10)
HEADER = ("subject", "filename", "emotion", "apex_frame")


def as_csv(rows: Any, delimiter: str, line_end: str, mark: str, quoting: Any) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting).writerows(
        [HEADER, *rows]
    )
    return (mark + text.getvalue()).encode("utf-8", "surrogatepass")


metadata = st.one_of(
    st.builds(
        as_csv,
        rows_in_order | rows_of_cells,
        st.sampled_from([",", ";", "\t"]),
        st.sampled_from(["\n", "\r\n"]),
        st.sampled_from(["", "\ufeff"]),
        st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ),
    st.binary(max_size=200).map(lambda tail: ",".join(HEADER).encode() + b"\n" + tail),
    st.binary(max_size=80),
)
parts = st.one_of(st.sampled_from(TRICKY), st.text(max_size=8)).map(os.fsencode) | st.binary(
    max_size=6
)
kinds = st.sampled_from(["file", "file", "file", "folder", "out", "in", "loop", "dangling"])
trees = st.lists(st.tuples(st.lists(parts, min_size=1, max_size=4), kinds), max_size=10)
facts = st.fixed_dictionaries(
    {"video_status": st.sampled_from(["ok", "unreadable_video", "truncated_video"])},
    optional={"n_frames": st.integers(1, 60)},
)


def grow(folder: Path, outside: Path, tree: Any) -> None:
    """Make files, folders and links; what the file system does not take is left out."""
    for names_of_parts, kind in tree:
        place = os.fsencode(folder)
        for part in names_of_parts:
            # Slashes would lead elsewhere: these names are one folder's or file's.
            name = part.replace(b"/", b"").replace(b"\0", b"")
            place = os.path.join(place, b"_" if name in (b"", b".", b"..") else name)
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            if kind == "folder":
                os.makedirs(place, exist_ok=True)
            elif kind == "file":
                os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            else:
                targets = {"out": outside, "in": folder / "Happy/S1/a.mp4", "loop": folder}
                os.symlink(os.fsencode(targets.get(kind, folder / "nowhere")), place)
        except OSError:
            continue


def videos_below(folder: Path) -> set[str]:
    """Return the regular files that end like videos, by their path, without following links."""
    found = set()
    for place, folders, files in os.walk(os.fsencode(folder)):
        folders[:] = [name for name in folders if not name.startswith(b".")]
        for name in files:
            path = os.path.join(place, name)
            text = os.path.relpath(path, os.fsencode(folder.parent)).decode(errors="replace")
            readable = "\ufffd" not in text and not os.path.islink(path)
            if readable and not name.startswith(b".") and has_video_suffix(os.fsdecode(name)):
                found.add(text)
    return found


def probed(clip: PlannedClip, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Return a clip's row of the table of videos, as a probe could have found it."""
    row = dict.fromkeys(field.name for field in VIDEO_FACTS) | ledger.clip_keys(clip)
    row |= {"processed": False, "video_status": None, "video_reason": None}
    if clip.video is None:
        return row
    ok = drawn["video_status"] == "ok"
    return row | {
        "path": clip.video.path,
        "sha256": "0" * 64,
        "size_bytes": clip.video.size,
        "n_frames": drawn.get("n_frames", 1) if ok else None,
        "video_status": drawn["video_status"],
        "video_reason": "" if ok else "broken",
        "processed": ok and clip.status in PROCESSABLE,
    }


@pytest.mark.parametrize("layout", ["subjects", "flat"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    content=metadata,
    tree=trees,
    drawn=facts,
    rules=st.fixed_dictionaries(
        {
            "missing": st.sampled_from(["exclude", "motion"]),
            "out_of_range": st.sampled_from(["exclude", "clamp", "motion"]),
        }
    ),
)
@example(
    as_csv([("S1", "../a.mp4", "Happy", "1")], ";", "\r\n", "\ufeff", 1),
    [],
    {},
    {"missing": "exclude", "out_of_range": "clamp"},
)
def test_a_data_set_gives_whole_tables_or_one_clear_error(
    layout: str, content: bytes, tree: Any, drawn: dict[str, Any], rules: dict[str, str]
) -> None:
    with TemporaryDirectory() as name:
        root, outside = Path(name) / "root", Path(name) / "outside"
        folder = root / FOLDERS[layout]
        folder.mkdir(parents=True)
        (outside / "S1").mkdir(parents=True)
        (outside / "S1" / "a.mp4").touch()
        grow(folder, outside, tree)
        before = sorted(outside.rglob("*"))
        (root / "video_emotion_metadata.csv").write_bytes(content)
        try:
            plan = make_plan(complete(root, {"dataset": {"layout": layout}}))
        except PlanError:  # and nothing else
            event("refused")
            return
        event("planned")
        clips = list(plan.all_clips())

        # Every row once, every video once, nothing from outside.
        numbers = sorted(clip.row.number for clip in clips if clip.row)
        assert numbers == list(range(1, len(numbers) + 1))
        opened = Counter(clip.video.path for clip in clips if clip.video)
        assert set(opened.values()) <= {1}
        assert videos_below(folder) <= opened.keys()
        for path in opened:
            assert os.path.realpath(root / path).startswith(os.path.realpath(folder) + os.sep)
            assert (root / path).is_file()

        # Nothing leads out of the results.
        for clip in clips:
            assert clip.status in STATUSES
            identifier = PurePosixPath(clip.clip_id)
            assert not identifier.is_absolute()
            assert len(identifier.parts) == 3
            assert not {".", ".."} & set(identifier.parts)
            assert not any(part.startswith((".", "-")) for part in identifier.parts)
            assert all(len(part.encode()) <= 240 for part in identifier.parts)
        for subject in plan.subjects:
            table = PurePosixPath("videos", f"{subject}.parquet")
            assert table.parent == PurePosixPath("videos")
            assert not set(subject) & set("/\\\0{}*?[]'\"$`;&|<> \n")

        # The tables take every row, and give it back.
        drawn = {"video_status": "ok"} | drawn
        videos = [probed(clip, drawn) for clip in clips]
        index = [
            ledger.assess_clip(clip, video, rules, LABELS)
            for clip, video in zip(clips, videos, strict=True)
        ]
        assert {row["status"] for row in index} <= STATUSES
        for row in index:
            assert row["status"] == "ok" or row["reason"]
            assert row["apex_frame"] is None or 0 <= row["apex_frame"] < row["n_frames"]
        for name_of_table, schema, rows in (("videos", VIDEOS, videos), ("index", INDEX, index)):
            write_table(Path(name) / name_of_table, schema, rows, {})
            assert len(read_rows(Path(name) / name_of_table)) == len(clips)
        assert sorted(outside.rglob("*")) == before
