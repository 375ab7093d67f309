"""What the reports count, and what Snakemake's own report makes of them."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cmedprep.crate import NAME
from cmedreport import data_set
from cmedreport.clip_record import strip_frames, strip_scheme
from cmedreport.data_set import MEANINGS
from cmedreport.methods_text import BIBTEX, TITLE, methods_text
from cmedreport.pictures import Moments, zones
from cmedreport.series import runs
from tests.conftest import REPOSITORY, Project


def row(number: int | None, status: str = "ok", **more: Any) -> dict[str, Any]:
    return {
        **{"clip_id": f"S/Happy/{number}", "subject": "S", "emotion": "Happy", "status": status},
        **{"metadata_row": number, "n_written": 5, "apex_source": "annotated", "apex_frame": 2},
        **{"samples": [{"n_slots": 3}], "grade": "A", "n_frames": 20, "motion_snr": 20.0},
        **{"motion_apex_frame": 2, "motion_apex_distance": 0, "motion_peak_px": 1.0},
        **more,
    }


ROWS = [
    row(1),
    row(2, apex_source=None),
    row(3, samples=[{"n_slots": 0}]),
    row(4, "apex_out_of_range", samples=[], motion_apex_distance=None),
    row(5, "missing_video", n_written=None, motion_apex_distance=None),
    row(6, "a_new_status", n_written=None, motion_apex_distance=None),
    row(None, "stray_video", n_written=None, motion_apex_distance=None),
]


def test_every_row_flows_to_one_end() -> None:
    ledger = data_set.ledger(ROWS)
    ends = {
        ledger["nodes"][target]: count
        for source, target, count in ledger["links"]
        if ledger["nodes"][source] in ("aligned", "no images")
    }
    assert ends == {
        **{"sampled: annotated apex": 1, "sampled: without expression": 1, "not sampled": 1},
        **{"apex_out_of_range": 1, "missing_video": 1, "a_new_status": 1, "stray_video": 1},
    }


def test_no_status_is_left_out_of_the_table() -> None:
    counted = data_set.statuses(ROWS)
    assert sum(entry["rows"] for entry in counted) == 6
    assert sum(entry["strays"] for entry in counted) == 1
    assert counted[-1]["status"] == "a_new_status"


def test_every_status_has_its_meaning() -> None:
    outputs = (REPOSITORY / "docs" / "outputs.md").read_text()
    assert all(f"`{status}`" in outputs for status in MEANINGS)


def test_classes_without_clips_are_there_with_nothing() -> None:
    balance = data_set.balance(ROWS, {"Happy": "positive", "Sad": "negative", "No_Emotion": None})
    assert [entry["counts"] for entry in balance["emotions"]] == [[3, 1, 2], [0, 0, 0], [0, 0, 0]]
    assert [entry["name"] for entry in balance["classes"]] == [
        *("positive", "negative", "without class")
    ]
    assert balance["classes"][0]["counts"] == [3, 1, 2]


def test_the_surest_and_farthest_labels_are_listed_first() -> None:
    apart = [(1, 9, 3.0), (2, 4, 20.0), (3, -6, 20.0), (4, 2, 50.0)]
    rows = [row(n, motion_apex_distance=d, motion_snr=snr) for n, d, snr in apart]
    check = data_set.label_check(rows)
    assert [entry["clip_id"][-1] for entry in check["outliers"]] == ["3", "2", "1"]
    assert check["checked"] == 4
    assert check["within"] == [0, 1]


def test_deviation_is_that_of_numpy() -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 40, 30, 3), dtype=np.uint8)
    moments = Moments()
    for image in images:
        moments.add(image)
    grey = images.astype(np.float64) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(moments.deviation(), grey.std(axis=0), atol=0.02)
    np.testing.assert_allclose(moments.mean(), images.mean(axis=0), atol=0.51)
    assert zones(moments.deviation()).shape == (5, 3)


def test_the_strip_has_onset_apex_and_offset_where_they_have_images() -> None:
    clip = {"apex_frame": 4, "motion_apex_frame": 6}
    assert strip_scheme({}) is None
    assert strip_frames(clip, 8, {}, range(8)) == list(range(8))
    assert strip_frames(clip, 30, {}, [0, 4, 29]) == [0, 4, 29]
    assert {0, 4, 6, 99} <= set(strip_frames(clip, 100, {}, range(100)))
    assert len(strip_frames(clip, 100, {}, range(100))) <= 14


def test_runs_are_first_and_last_frames() -> None:
    assert runs(np.array([False, True, True, False, True])) == [(1, 2), (4, 4)]
    assert runs([]) == []


def test_the_page_cites_what_the_citation_file_says() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["title"] == TITLE
    assert citation["authors"][0]["name"] == f"The authors of {NAME}"
    for part in (citation["title"], citation["version"], citation["authors"][0]["name"]):
        assert part in BIBTEX


def test_snakemakes_own_report_has_the_pages_with_captions(tiny: Project, tmp_path: Path) -> None:
    tiny.succeed("--report", "report.zip")
    with zipfile.ZipFile(tiny.folder / "report.zip") as report:
        names = [Path(name).name for name in report.namelist()]
        (page,) = [name for name in report.namelist() if Path(name).name == "report.html"]
        text = report.read(page).decode()
    assert {"index.html", "Subject_01.html", "Subject_02.html"} <= set(names)
    for words in ("Data set", "Subjects", "the worst first", "No face is shown"):
        assert words in text


@pytest.mark.parametrize("method", ["stabilised", "landmarks", "first_frame"])
def test_the_text_for_a_paper_claims_what_was_measured(method: str) -> None:
    template = {"size": 224, "inter_ocular": 90}
    scheme = {"name": "u", "method": "uniform", "slots": 8, "frames": "distinct"}
    stages = {
        "align_faces": {"alignment": {"method": method, "template": template, "max_gap": 3}},
        "extract_frames": {"crop": {"size": 112}},
        "detect_faces": {"detection": {"min_confidence": 0.5}},
    }
    made = {stage: {"parameters": parameters} for stage, parameters in stages.items()}
    made["sample_apex"] = {"u": {"parameters": {"sampling": {"scheme": scheme}}}}
    counts = dict.fromkeys(("rows", "usable", "aligned", "subjects"), 1)
    text = " ".join(methods_text(made, {"mediapipe": "0.10.21"}, counts))
    assert ("graded" in text) == (method == "stabilised")
    assert "evenly from onset to offset, frames that repeat an earlier one left out" in text
    assert "45 px between the eyes" in text
