"""What reruns after which change: the table that `test_rerun_matrix` holds the workflow to.

`python -m tests.reruns` writes it to docs/reruns.md.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reruns.md"

RULES = {
    "probe_videos": "probe",
    "index_subject": "index",
    "index_clips": "clips",
    "detect_faces": "faces",
    "align_faces": "align",
    "extract_frames": "frames",
    "measure_motion": "motion",
    "write_manifest": "samples, manifest",
    "make_splits": "splits",
    "report_subject": "page",
    "report_dataset": "overview",
}
"""The rules of a run, each with its heading in the table."""

ONCE = ("index_clips", "make_splits", "report_dataset")
"""Those that run once for the whole data set."""

NOTHING: tuple[str, ...] = ()
ALL = tuple(RULES)
PAGES = ("report_subject", "report_dataset")
MANIFEST = ("write_manifest", "make_splits", *PAGES)
MOTION = ("measure_motion", *MANIFEST)
FRAMES = ("extract_frames", *MOTION)
ALIGNMENT = ("align_faces", *FRAMES)
FACES = ("detect_faces", *ALIGNMENT)
LEDGER = ("index_subject", "index_clips", *MOTION)

EVERY, ITS, NEW, NOBODY = "all", "its own", "the new one", "none"


@dataclass(frozen=True)
class Row:
    """A change, the subjects that it concerns, and the rules that rerun for them."""

    change: str
    subjects: str
    rules: tuple[str, ...]


DATA = {
    "video_changed": Row("a video's content", ITS, ALL),
    "video_older": Row("a video's content, under an older time", ITS, ALL),
    "videos_touched": Row("videos touched", NOBODY, NOTHING),
    "videos_recopied": Row("videos removed and copied anew, equal", NOBODY, NOTHING),
    "clip_new": Row("a new clip: video and row", ITS, ALL),
    "clip_removed": Row("a clip removed: video and row", ITS, ALL),
    "video_removed": Row("a video removed, its row kept", ITS, ALL),
    "row_removed": Row("a row removed, its video kept", ITS, ALL),
    "apex": Row("a row's apex frame", ITS, LEDGER),
    "emotion": Row("a row's emotion, and with it the file that is meant", ITS, ALL),
    "rows_reordered": Row(
        "rows reordered, which `clips.parquet` numbers", NOBODY, ("index_clips", "report_dataset")
    ),
    "rows_rewritten": Row("the CSV written with other quotes and line ends", NOBODY, NOTHING),
    "subject_new": Row("a new subject", NEW, ALL),
    "subject_removed": Row("a subject removed", NOBODY, ONCE),
}
"""Changes of the data set."""

CONFIG = {
    "comments": Row("comments, spaces, defaults spelled out", NOBODY, NOTHING),
    "order": Row("the order of the keys", NOBODY, NOTHING),
    "scheme_new": Row("a sampling scheme added", EVERY, MANIFEST),
    "scheme_removed": Row("a sampling scheme removed", EVERY, MANIFEST),
    "subject_left_out": Row("a subject left out", NOBODY, ONCE),
    "place": Row("where things are and how they are called", NOBODY, NOTHING),
    "headers": Row("other headers in the CSV, named in the config", NOBODY, NOTHING),
    "output": Row("another folder for results", EVERY, ALL),
}
"""Changes of the config that take more than the value of one key, or other files."""

CODE = {
    "checkout": Row("a fresh checkout of equal code", NOBODY, NOTHING),
    "sampling": Row("`cmedprep/sampling.py`", EVERY, MANIFEST),
    "faces": Row("`cmedprep/faces.py`", EVERY, FACES),
    "plan": Row("`cmedplan/plan.py`", EVERY, ALL),
}
"""Changes of the code that Snakemake itself is asked about."""

EXAMPLES = {
    "dataset.root": "place",
    "dataset.metadata": "place",
    "dataset.layout": "place",
    "dataset.columns.subject": "headers",
    "dataset.columns.filename": "headers",
    "dataset.columns.emotion": "headers",
    "dataset.columns.apex_frame": "headers",
    "subjects": "subject_left_out",
    "batch": "subject_left_out",
    "output": "output",
    "verify.reference": "place",
}
"""Keys that say where things are and not what is computed: the change that speaks for each."""

KEYS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "limits.seconds": (60, ALL),
    "limits.memory_mb": (2048, ALL),
    "limits.megapixels": (10, ALL),
    "limits.frames": (1000, ALL),
    "apex.missing": ("motion", LEDGER),
    "apex.out_of_range": ("clamp", LEDGER),
    "labels.three_class": ({"Happy": "joy", "No_Emotion": None}, LEDGER),
    "labels.without_expression": ("Happy", LEDGER),
    "detection.min_confidence": (0.6, FACES),
    "detection.max_faces": (1, FACES),
    "detection.steps": (["direct"], FACES),
    "alignment.method": ("landmarks", ALIGNMENT),
    "alignment.max_gap": (0, ALIGNMENT),
    "alignment.template.size": (256, ALIGNMENT),
    "alignment.template.inter_ocular": (80, ALIGNMENT),
    "alignment.template.eye_midpoint": ([112, 100], ALIGNMENT),
    "crop.size": (112, FRAMES),
    "crop.format": ("jpeg", FRAMES),
    "crop.quality": (80, FRAMES),
    "images": ("parquet", FRAMES),
    "sampling.without_apex": ("skip", MOTION),
    "sampling.schemes[0].slots": (9, MANIFEST),
    "sampling.schemes[0].name": ("renamed", MANIFEST),
    "sampling.schemes[1].radius": (4, MANIFEST),
    "sampling.schemes[1].boundary": ("shrink", MANIFEST),
    "sampling.schemes[1].frames": ("distinct", MANIFEST),
    "sampling.schemes[1].spacing": ("phase", MANIFEST),
    "sampling.schemes[2].method": ("phase", MANIFEST),
    "motion.methods": (["farneback"], MOTION),
    "report.faces": (True, PAGES),
    "splits.folds": (3, ("make_splits",)),
    "splits.seeds": ([1, 2], ("make_splits",)),
}
"""Every other key, another value, and the rules that rerun, for all subjects."""

MODULES = {
    ALL: """
        probe_videos.py cmedplan/atomic.py cmedplan/errors.py cmedplan/fingerprint.py
        cmedplan/inventory.py cmedplan/metadata.py cmedplan/names.py cmedplan/plan.py
        cmedplan/scan.py cmedprep/containers.py cmedprep/decoding.py cmedplan/digests.py
        cmedprep/display.py cmedprep/job.py cmedprep/known_videos.py
        cmedprep/ledger.py cmedprep/packets.py cmedprep/probe_worker.py cmedprep/probing.py
        cmedprep/provenance.py cmedprep/tables.py cmedprep/usage.py
        """,
    LEDGER: "index_subject.py",
    ("index_clips", "report_dataset"): """
        index_clips.py cmedplan/output.py cmedprep/gathering.py
        """,
    ("index_clips", *MANIFEST): "cmedprep/stale.py",
    FACES: """
        detect_faces.py cmedprep/cascade.py cmedprep/clips.py cmedprep/detection.py
        cmedprep/faces.py cmedprep/following.py cmedprep/landmarks.py cmedprep/video.py
        """,
    ALIGNMENT: """
        align_faces.py cmedprep/alignment.py cmedprep/certificate.py cmedprep/geometry.py
        cmedprep/motion.py cmedprep/pose.py cmedprep/reference.py cmedprep/skin.py
        cmedprep/smoothing.py cmedprep/stabilise.py cmedprep/texture.py cmedprep/tracks.py
        cmedprep/views.py
        """,
    FRAMES: """
        extract_frames.py cmedprep/crops.py cmedprep/expression.py cmedprep/extraction.py
        cmedprep/images.py cmedprep/pulses.py cmedprep/regions.py cmedprep/repeats.py
        cmedprep/spotting.py
        """,
    MOTION: "measure_motion.py cmedprep/apexes.py cmedprep/apex_motion.py cmedprep/flow.py",
    ("make_splits",): "make_splits.py cmedprep/splits.py",
    ("report_dataset",): """
        report_dataset.py cmedprep/crate.py cmedreport/data_set.py cmedreport/data_set_page.py
        cmedreport/methods_text.py cmedreport/assets/data_set.css
        cmedreport/assets/data_set.html.j2 cmedreport/assets/data_set.js
        """,
    PAGES: """
        report_subject.py cmedreport/clip_record.py cmedreport/drawings.py
        cmedreport/subject_page.py cmedreport/assets/charts.js
        cmedreport/assets/subject.css cmedreport/assets/subject.html.j2
        cmedreport/assets/subject.js
        cmedreport/embedded.py cmedreport/pages.py cmedreport/pictures.py cmedreport/series.py
        cmedreport/assets/page.css cmedreport/assets/page.html.j2 cmedreport/assets/page.js
        """,
    MANIFEST: """
        write_manifest.py cmedprep/fingerprints.py cmedprep/manifest.py
        sample_apex.py cmedprep/interpolation.py cmedprep/samples.py cmedprep/sampling.py
        """,
    NOTHING: """
        cmedplan/__init__.py cmedplan/config.py cmedplan/locks.py
        cmedplan/recipe.py cmedplan/stages.py cmedplan/survey.py
        cmedprep/__init__.py
        cmedreport/__init__.py cmedprep/recomputing.py cmedprep/schemas.py cmedprep/verification.py
        cmedprep/verification_page.py confirm_subject.py summarise_run.py verify_subject.py
        write_crate.py
        """,
}
"""Every file of code, by the rules that rerun after a new line in it, for all subjects."""


def modules() -> dict[str, tuple[str, ...]]:
    """Return the rules that rerun after an edit of each file of code."""
    return {name: rules for rules, names in MODULES.items() for name in names.split()}


def _line(change: str, subjects: str, rules: Iterable[str]) -> str:
    marks = ("●" if rule in rules else "" for rule in RULES)
    return f"| {change} | {subjects} | {' | '.join(marks)} |"


def _with_keys(name: str, row: Row) -> str:
    keys = ", ".join(f"`{key}`" for key, example in EXAMPLES.items() if example == name)
    return _line(f"{row.change}: {keys}" if keys else row.change, row.subjects, row.rules)


def _table(title: str, rows: Iterable[str]) -> Iterator[str]:
    yield f"\n| {title} | subjects | {' | '.join(RULES.values())} |"
    yield "|---|---|" + ":-:|" * len(RULES)
    yield from rows


def _grouped(rules_of: dict[str, tuple[str, ...]]) -> Iterator[str]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, rules in rules_of.items():
        groups.setdefault(rules, []).append(f"`{name}`")
    for rules, names in groups.items():
        yield _line(", ".join(names), EVERY if rules else NOBODY, rules)


def page() -> str:
    """Return docs/reruns.md."""
    lines = [
        "# What reruns",
        "",
        "Made from the table that `tests/test_rerun_matrix.py` holds Snakemake to: exactly these",
        "rules rerun, of exactly these subjects. `clips`, `splits` and `overview` run once for the",
        "whole data set, `motion` where it is switched on.",
        "`make docs-reruns` writes this page; a new key or module without a line fails a test.",
        *_table("data set", (_with_keys(name, row) for name, row in DATA.items())),
        *_table("config", (_with_keys(name, row) for name, row in CONFIG.items())),
        *_table("value of a key", _grouped({key: rules for key, (_, rules) in KEYS.items()})),
        *_table("code", [_line(CODE["checkout"].change, NOBODY, ()), *_grouped(modules())]),
        "",
        "The samples of all schemes and the manifest are one job, as to choose takes less time",
        "than to start. Whatever happens to one scheme, tables and images of the others come out",
        "with the same bytes (`tests/test_workflow.py`). The overview links to the pages, and",
        "follows them.",
        "",
        "Of `schemas.py`, each rule counts the definitions that it uses: a new column of `FACES`",
        "reruns `detect_faces` and what follows, and a definition that nobody uses reruns nothing",
        "(`tests/test_fingerprint.py`).",
        "",
        "A parameter is changed, its job fails once, and the same command is given again: the job",
        "runs then, and all that follows it (`tests/test_workflow.py`).",
        "",
        "What a removed subject, clip or scheme had among the results is removed by the next",
        "run (`tests/test_stale.py`): one folder of results belongs to one data set. A subject",
        "that `subjects` leaves out keeps what it has. Files that are not ours stay.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
