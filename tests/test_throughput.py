"""The benchmark of throughput compares like with like."""

import csv
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from cmedprep.video import read_images
from tests.conftest import REPOSITORY
from tests.makers.make_demo import make_tiny
from tests.makers.make_pieces import FOLDER, LONGEST, METADATA, make_pieces
from tests.makers.make_videos import Kind, pictures, write_video


@pytest.fixture(scope="module")
def throughput() -> dict[str, Any]:
    return runpy.run_path(str(REPOSITORY / "benchmarks" / "throughput.py"))


def test_pieces_are_clips_of_a_data_set(tmp_path: Path) -> None:
    make_tiny(tmp_path / "tiny", subjects=1)
    video = write_video(tmp_path / "v.mp4", pictures(70), Kind("v.mp4", "libx264"))
    root = tmp_path / "pieces"
    make_pieces(root, [(video, 65)], 6, tmp_path / "tiny")
    with open(root / METADATA, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["subject"] == "Subject_101"]
    assert len(rows) == 6
    for row in rows:
        place = root / FOLDER / row["emotion"] / row["subject"] / row["filename"]
        length = sum(1 for _ in read_images(place))
        assert 10 <= length <= LONGEST
        assert (row["apex_frame"] == "") == (row["emotion"] == "No_Emotion")
        assert int(row["apex_frame"] or 0) < length


def test_ratios_are_of_the_same_turn_and_per_frame(throughput: dict[str, Any]) -> None:
    cost = throughput["Cost"]
    costs = {
        "a": [cost(1.0, cpu, 1.0) for cpu in (2.0, 40.0, 6.0)],
        "b": [cost(1.0, cpu, 1.0) for cpu in (10.0, 200.0, 10.0)],
    }
    assert throughput["ratio_to"](costs, "a", "b", {"a": 1, "b": 10}) == pytest.approx(2.0)


def test_what_jobs_took_is_summed_up_by_rule(tmp_path: Path, throughput: dict[str, Any]) -> None:
    lines = [
        {"name": "tmpa1_b.detect_faces.py", "own_s": 2.0, "children_s": 0.5, "memory_mb": 300},
        {"name": "tmpzz.detect_faces.py", "own_s": 1.0, "children_s": 0.0, "memory_mb": 200},
        {"name": "-c", "own_s": 0.5, "children_s": 0.0, "memory_mb": 50},
        {"name": "__main__.py", "own_s": 4.0, "children_s": 3.5, "memory_mb": 300},
    ]
    meter = tmp_path / "meter.jsonl"
    meter.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert throughput["stages_of"](meter) == {
        "detect_faces": {"jobs": 2, "cpu_s": 3.5, "memory_mb": 300},
        "Snakemake": {"jobs": 1, "cpu_s": 4.0, "memory_mb": 0.0},
    }
