"""A stranger can redo one subject and prove it, or learn what differs and by how much."""

import copy
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cmedprep.schemas import VERIFICATION
from cmedprep.tables import PROVENANCE_KEY, read_provenance, read_rows
from cmedprep.verification import (
    STAGES,
    compare_clips,
    compare_manifests,
    describe,
    explain,
    worst_verdict,
)
from cmedprep.verification_page import render_page
from tests.conftest import Project

SUBJECT = "Subject_01"
VERIFY = ("--forcerun", "verify_subject", "--", f"results/verify/{SUBJECT}.verified")


@pytest.fixture(scope="module")
def manifest(finished_tiny: Project) -> Path:
    return finished_tiny.results / "manifests" / f"{SUBJECT}.parquet"


@pytest.fixture
def published(manifest: Path) -> dict[str, Any]:
    return read_rows(manifest)[0]


def other_cpu(row: dict[str, Any], landmarks: float = 0, matrix: float = 0, pixels: int = 0) -> Any:
    """Return a clip as another machine would have it, by so much apart."""
    row = copy.deepcopy(row)
    for fingerprint in row["fingerprints"]:
        if landmarks:
            row["faces_sha256"] = "other"
            fingerprint["landmarks"][0] += landmarks
        if matrix:
            row["alignment_sha256"] = "other"
            fingerprint["matrix"][2] += matrix
        if pixels:
            row["frames_sha256"] = "other"
            signs = np.random.default_rng(0).choice([-1, 1], 32) * int(np.sqrt(pixels))
            fingerprint["projections"] = [
                int(p + s) for p, s in zip(fingerprint["projections"], signs, strict=True)
            ]
    return row


def test_equal_clips_are_identical(published: dict[str, Any]) -> None:
    row = compare_clips(published, copy.deepcopy(published))
    assert row["verdict"] == "identical"
    assert (row["first"], row["note"]) == (None, "")
    assert all(row[stage] == "identical" for stage in STAGES)
    assert (row["landmark_distance_px"], row["matrix_distance_px"]) == (0, 0)


@pytest.mark.parametrize(
    ("apart", "first", "verdict"),
    [
        ({"landmarks": 0.01}, "faces", "equivalent"),
        ({"landmarks": 5.0}, "faces", "different"),
        ({"matrix": 0.01}, "alignment", "equivalent"),
        ({"matrix": 0.5}, "alignment", "different"),
        ({"pixels": 20}, "frames", "equivalent"),
        ({"pixels": 150_528 * 9}, "frames", "different"),
        ({"landmarks": 0.01, "matrix": 0.01, "pixels": 20}, "faces", "equivalent"),
        ({"landmarks": 0.01, "matrix": 0.5}, "faces", "different"),
    ],
)
def test_small_differences_are_equivalent_and_large_ones_different(
    published: dict[str, Any], apart: dict[str, Any], first: str, verdict: str
) -> None:
    row = compare_clips(published, other_cpu(published, **apart))
    assert (row["first"], row["verdict"]) == (first, verdict)
    assert row["source"] == row["index"] == row["samples"] == "identical"
    assert any(character.isdigit() for character in row["note"])


@pytest.mark.parametrize(
    ("apart", "within"),
    [
        ({"landmarks": 0.249}, True),
        ({"landmarks": 0.251}, False),
        ({"matrix": 0.0999}, True),
        ({"matrix": 0.1001}, False),
        ({"psnr": 45.01}, True),
        ({"psnr": 44.99}, False),
    ],
)
def test_the_tolerances_are_the_documented_ones_in_pixels_of_the_crop(
    published: dict[str, Any], apart: dict[str, float], within: bool
) -> None:
    ((name, size),) = apart.items()
    row = copy.deepcopy(published)
    fingerprint = row["fingerprints"][3]  # the worst frame decides
    if name == "landmarks":  # are in source pixels
        row["faces_sha256"] = "other"
        linear = np.reshape(fingerprint["matrix"], (2, 3))[:, :2]
        fingerprint["landmarks"][0] += size / np.sqrt(np.linalg.det(linear))
    elif name == "matrix":
        row["alignment_sha256"] = "other"
        fingerprint["matrix"][2] += size
    else:
        row["frames_sha256"] = "other"
        step = np.sqrt(255**2 / 10 ** (size / 10) * 224 * 224 * 3)
        fingerprint["projections"] = [p + step for p in fingerprint["projections"]]
    measured = compare_clips(published, row)
    assert measured["verdict"] == ("equivalent" if within else "different")
    column = {"landmarks": "landmark_distance_px", "matrix": "matrix_distance_px"}
    assert measured[column.get(name, "psnr_db")] == pytest.approx(size, rel=1e-3)


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (0.2, 0.299, "equivalent"),
        (0.2, 0.301, "different"),
        (0.2, None, "different"),
        (None, 0.2, "different"),
        (None, None, "equivalent"),  # by a method that certifies nothing
    ],
)
def test_near_transforms_need_near_residuals(
    published: dict[str, Any], before: float | None, now: float | None, verdict: str
) -> None:
    theirs = published | {"residual_jitter_px": before}
    ours = other_cpu(published, matrix=0.01) | {"residual_jitter_px": now}
    assert compare_clips(theirs, ours)["alignment"] == verdict


def test_what_cannot_be_measured_is_null(published: dict[str, Any]) -> None:
    row = compare_clips(published, published | {"crop_px": 112, "frames_sha256": "other"})
    assert row["landmark_distance_px"] is row["matrix_distance_px"] is row["psnr_db"] is None


@pytest.mark.parametrize(("place", "whose"), [(0, "published"), (1, "recomputed")])
def test_a_manifest_without_the_video_is_named_with_the_reason(
    published: dict[str, Any], place: int, whose: str
) -> None:
    rows = [published, published]
    rows[place] = published | {"sha256": None, "reason": "no file of that name"}
    row = compare_clips(*rows)
    assert row["verdict"] == "source_differs"
    assert row["note"] == f"the {whose} manifest has no video for it: no file of that name"


def test_clips_are_listed_in_one_order(published: dict[str, Any]) -> None:
    names = [f"Subject_01/Happy/{name}" for name in "cab"]
    rows = [published | {"clip_id": name} for name in names]
    compared = compare_manifests(rows[:2], rows[1:])
    assert [row["clip_id"] for row in compared] == sorted(names)


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ({"status": "apex_missing"}, "index"),
        ({"apex_frame": 1}, "index"),
        ({"n_detected": 3, "faces_sha256": "other"}, "faces"),
        ({"n_written": 3, "frames_sha256": "other"}, "frames"),
        ({"crop_px": 112, "frames_sha256": "other"}, "frames"),
        ({"fingerprints": [], "faces_sha256": "other"}, "faces"),
        ({"samples": []}, "samples"),
        ({"motion_apex_frame": 5, "expression_sha256": "other"}, "expression"),
        ({"motion_peak_px": 9.0, "expression_sha256": "other"}, "expression"),
        ({"motion_peak_px": None, "expression_sha256": "other"}, "expression"),
        ({"motion": [{"method": "dis", "sha256": "1"}]}, "motion"),
    ],
)
def test_what_is_counted_otherwise_is_different(
    published: dict[str, Any], change: dict[str, Any], first: str
) -> None:
    row = compare_clips(published, published | change)
    assert (row["verdict"], row["first"]) == ("different", first)
    assert row["note"]


@pytest.mark.parametrize(
    "change",
    [
        {"grade": "poor"}, {"n_written": 999}, {"n_repeats": 50}, {"residual_jitter_px": 0.0},
        {"motion_apex_frame": 77}, {"motion_snr": 500.0}, {"motion_apex_distance": 1},
        {"inter_ocular_px": 1.0}, {"longest_gap": 7}, {"fingerprints": []},
    ],
)  # fmt: skip
def test_what_is_falsified_beside_the_digests_is_different(
    published: dict[str, Any], change: dict[str, Any]
) -> None:
    row = compare_clips(published | change, published)
    assert (row["verdict"], row["first"]) == ("different", "manifest")
    assert next(iter(change)) in row["note"]


@pytest.mark.parametrize("change", [{"fps": 1000.0}, {"width": 3}, {"size_bytes": 1}])
def test_facts_of_a_video_are_those_of_its_bytes(
    published: dict[str, Any], change: dict[str, Any]
) -> None:
    assert compare_clips(published | change, published)["first"] == "index"


def test_a_video_may_lie_elsewhere_and_its_row_be_spelled_otherwise(
    published: dict[str, Any],
) -> None:
    theirs = published | {"path": "FinalFullVideos/x.mp4", "metadata_subject": "subject 01"}
    assert compare_clips(theirs, published)["verdict"] == "identical"


@pytest.mark.parametrize("change", [{"n_stabilised": 0}, {"residual_drift_px": 3.0}])
def test_near_transforms_do_not_excuse_other_certificates(
    published: dict[str, Any], change: dict[str, Any]
) -> None:
    row = compare_clips(other_cpu(published, matrix=0.01) | change, published)
    assert (row["alignment"], row["verdict"]) == ("different", "different")


def test_rounding_may_move_what_hardly_stands_out_where_frames_are_equal(
    published: dict[str, Any],
) -> None:
    calm = published | {"motion_apex_frame": 1, "motion_peak_px": 0.1, "motion_snr": 2.0}
    rounded = calm | {"motion_snr": 2.0 + 1e-12, "expression_sha256": "x"}
    assert compare_clips(calm, rounded)["verdict"] == "equivalent"


def test_a_peak_that_is_hardly_another_is_equivalent(published: dict[str, Any]) -> None:
    sure = published | {"motion_apex_frame": 3, "motion_peak_px": 1.0, "motion_snr": 20.0}
    row = compare_clips(sure, sure | {"motion_peak_px": 1.001, "expression_sha256": "x"})
    assert (row["verdict"], row["first"]) == ("equivalent", "expression")
    row = compare_clips(sure, sure | {"motion_apex_frame": 4, "expression_sha256": "x"})
    assert (row["verdict"], row["first"]) == ("different", "expression")


@pytest.mark.parametrize(("snr", "verdict"), [(7.99, "equivalent"), (8.0, "different")])
def test_an_apex_that_is_sure_does_not_move(
    published: dict[str, Any], snr: float, verdict: str
) -> None:
    calm = published | {"motion_apex_frame": 1, "motion_peak_px": 0.1, "motion_snr": snr}
    moved = {"motion_apex_frame": 4, "motion_peak_px": 0.2, "expression_sha256": "x"}
    assert compare_clips(calm, other_cpu(calm, pixels=20) | moved)["expression"] == verdict
    sure = moved | {"motion_snr": 20.0}
    assert compare_clips(calm, other_cpu(calm, pixels=20) | sure)["expression"] == "different"


def test_an_apex_that_is_a_guess_may_move_with_the_images_and_not_without(
    published: dict[str, Any],
) -> None:
    calm = published | {"motion_apex_frame": 1, "motion_peak_px": 0.1, "motion_snr": 2.0}
    moved = {"motion_apex_frame": 4, "motion_peak_px": 0.2, "expression_sha256": "x"}
    assert compare_clips(calm, calm | moved)["expression"] == "different"
    near = compare_clips(calm, other_cpu(calm, pixels=20) | moved)
    assert (near["frames"], near["expression"]) == ("equivalent", "equivalent")


@pytest.mark.parametrize(("factor", "verdict"), [(1.001, "equivalent"), (1.1, "different")])
def test_motion_that_is_hardly_another_is_equivalent(
    published: dict[str, Any], factor: float, verdict: str
) -> None:
    def row(factor: float, digest: str) -> dict[str, Any]:
        measured = {"mean_px": 0.5 * factor, "mean_strain": 0.01 * factor, "sha256": digest}
        return published | {"motion": [{"method": "dis", **measured}]}

    compared = compare_clips(row(1, "a"), row(factor, "b"))
    assert (compared["verdict"], compared["first"]) == (verdict, "motion")


def test_images_of_slots_follow_the_frames_that_they_are_made_of(published: dict[str, Any]) -> None:
    def repainted(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"samples": [s | {"pixels_sha256": "other"} for s in row["samples"]]}

    near = compare_clips(published, repainted(other_cpu(published, pixels=20)))
    assert (near["frames"], near["samples"]) == ("equivalent", "equivalent")
    # Of equal frames the images are equal, or something is wrong.
    assert compare_clips(published, repainted(published))["samples"] == "different"


def test_another_video_explains_all_else(published: dict[str, Any]) -> None:
    other = published | {"sha256": "0" * 64, "faces_sha256": "other", "status": "no_face"}
    row = compare_clips(published, other)
    assert (row["verdict"], row["first"]) == ("source_differs", "source")
    assert row["faces"] is None


def test_a_clip_that_one_side_lacks_is_missing(published: dict[str, Any]) -> None:
    (row,) = compare_manifests([published], [])
    assert (row["verdict"], row["source"]) == ("missing", None)
    assert "recomputed" in row["note"]
    (row,) = compare_manifests([], [published])
    assert "published" in row["note"]


def test_the_worst_clip_decides_and_is_listed_first(published: dict[str, Any]) -> None:
    other = published | {"clip_id": "Subject_01/Happy/zzz"}
    rows = compare_manifests([published, other], [published, other_cpu(other, landmarks=0.01)])
    assert worst_verdict(rows) == "equivalent"
    first, second, third = describe(rows).splitlines()
    assert first == "1 identical, 1 equivalent"
    assert "zzz" in second
    assert published["clip_id"] in third
    assert worst_verdict([]) == "identical"


def test_what_made_them_otherwise_is_told(manifest: Path) -> None:
    origin = read_provenance(manifest)
    assert "are those" in explain(origin, origin)
    other = copy.deepcopy(origin)
    other["packages"]["numpy"] = "1.0"
    other["upstream"]["align_faces"]["code"] = "other"
    assert "version of numpy: " in explain(other, origin)
    assert "code of align_faces" in explain(other, origin)


def test_the_page_shows_every_clip_and_escapes_names(
    manifest: Path, published: dict[str, Any], tmp_path: Path
) -> None:
    origin = read_provenance(manifest)
    odd = published | {"clip_id": "Subject_01/Happy/<script>"}
    rows = compare_manifests([published, odd], [published])
    render_page(tmp_path / "page.html", SUBJECT, rows, origin, origin)
    text = (tmp_path / "page.html").read_text()
    assert published["clip_id"] in text
    assert "<script" not in text
    assert "http" not in text
    assert "missing" in text


# -- with Snakemake ----------------------------------------------------------------------------


def test_a_subject_is_recomputed_and_identical(tiny: Project) -> None:
    before = tiny.digests()
    shutil.rmtree(tiny.results / "images")  # the manifest alone is enough
    run = tiny.succeed(*VERIFY)
    assert "2 identical" in run.output
    assert run.jobs == {f"verify_subject {SUBJECT}": 1, f"confirm_subject {SUBJECT}": 1}
    table = pq.read_table(tiny.results / "verify" / f"{SUBJECT}.parquet")
    assert table.schema.equals(VERIFICATION)
    assert set(table["verdict"].to_pylist()) == {"identical"}
    assert (tiny.results / "verify" / f"{SUBJECT}.html").is_file()
    # Nothing else is touched, and the scratch folder is gone.
    after = {n: d for n, d in tiny.digests().items() if not n.startswith("verify/")}
    assert after == {n: d for n, d in before.items() if not n.startswith("images/")}
    assert len(os.listdir(tiny.results / "verify")) == 3
    # A verdict stands as long as what it is about, and no longer.
    assert tiny.succeed("--", VERIFY[-1]).idle
    changed = replace(tiny, config=tiny.config | {"crop": {"size": 64}})
    planned = changed.succeed("--dry-run", "--", VERIFY[-1]).jobs
    assert planned == {f"verify_subject {SUBJECT}": 1, f"confirm_subject {SUBJECT}": 1}


def test_another_cpu_and_another_config_are_seen_through(
    fresh: Project, finished_tiny: Project
) -> None:
    # A colleague's manifest, no results of one's own, another crop size in one's own config, and
    # a CPU without vector instructions: the manifest knows how it was made.
    reference = fresh.folder / "theirs"
    shutil.copytree(finished_tiny.results / "manifests", reference)
    project = replace(
        fresh,
        config=fresh.config | {"crop": {"size": 64}, "verify": {"reference": str(reference)}},
    )
    disabled = {"OPENCV_CPU_DISABLE": "AVX512_SKX,AVX2,FMA3,AVX"}
    run = project.succeed(*VERIFY, environment=disabled)
    assert "2 equivalent" in run.output or "2 identical" in run.output  # by the CPU there is


def test_a_changed_video_and_a_lost_one_are_told_and_fail(
    fresh: Project, finished_tiny: Project
) -> None:
    reference = finished_tiny.results / "manifests"
    first, second = sorted(fresh.root.glob(f"FinalFullVideos_subjects/*/{SUBJECT}/*"))
    shutil.copy(next(fresh.root.glob("FinalFullVideos_subjects/*/Subject_02/*")), first)
    second.unlink()
    project = replace(fresh, config=fresh.config | {"verify": {"reference": str(reference)}})
    run = project.fail(*VERIFY)
    assert "2 source_differs" in run.output
    assert "no video for it" in run.output
    assert not (fresh.results / "verify" / f"{SUBJECT}.verified").exists()
    assert (fresh.results / "verify" / f"{SUBJECT}.html").is_file()


@pytest.mark.parametrize("kind", ["none", "older", "another table"])
def test_what_cannot_be_verified_is_one_clear_error(
    fresh: Project, finished_tiny: Project, kind: str
) -> None:
    reference = fresh.folder / "reference.parquet"
    results = finished_tiny.results
    if kind == "older":
        table = pq.read_table(results / "manifests" / f"{SUBJECT}.parquet")
        origin = json.loads(table.schema.metadata[PROVENANCE_KEY])
        origin["schema_version"] = "1.0"
        metadata = {PROVENANCE_KEY: json.dumps(origin).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), reference)
    elif kind == "another table":
        shutil.copy(results / "faces" / f"{SUBJECT}.parquet", reference)
    project = replace(fresh, config=fresh.config | {"verify": {"reference": str(reference)}})
    run = project.fail(*VERIFY)
    words = {
        "none": "no such file",
        "older": "found:    schema version 1.0",
        "another table": "found:    a table of detect_faces",
    }
    assert words[kind] in run.output
    assert "do:" in run.output
    assert not (fresh.results / "verify" / f"{SUBJECT}.verified").exists()
