"""The page of a subject: every clip, the worst first."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from cmedprep.manifest import GRADES
from cmedprep.tables import iterate_clips, read_rows
from cmedreport.clip_record import record_clip
from cmedreport.drawings import DOTS, UNITS
from cmedreport.pages import render
from cmedreport.pictures import MOST_DEVIATION
from cmedreport.series import json_number

ASSETS = ("subject.html.j2", "subject.css", "subject.js", "charts.js")
"""Files of the folder `assets` that make this page; they count as its code."""

_FACTS = (
    *("clip_id", "emotion", "filename", "status", "reason", "grade", "processed"),
    *("emotion_3class", "apex_frame", "apex_source", "codec", "width", "height", "n_frames"),
    *("n_detected", "n_written", "n_interpolated", "n_stabilised", "n_several_faces"),
    *("longest_gap", "n_repeats", "longest_freeze", "motion_apex_frame", "motion_apex_distance"),
)
_MEASURES = (
    *("residual_jitter_px", "residual_drift_px", "landmark_jitter_px", "landmark_drift_px"),
    *("inter_ocular_px", "motion_peak_px", "motion_snr", "duration_s"),
)
_COLUMNS = ("clip_id", *(n for n in _FACTS if n != "clip_id"), *_MEASURES, "fps", "crop_px")


def write_subject_page(
    manifest: Path,
    faces: Path,
    alignment: Path,
    frames: Path,
    expression: Path,
    samples: Mapping[str, Path],
    page: Path,
    show_faces: bool,
    provenance: Mapping[str, Any],
) -> None:
    """Write the page of a subject.

    Parameters
    ----------
    manifest, faces, alignment, frames, expression : Path
        The subject's tables.
    samples : mapping of Path
        The same of each sampling scheme.
    page : Path
        The HTML file, in the folder `reports` of the results.
    show_faces : bool
        The config's `report.faces`.
    provenance : mapping
        How the page was made.
    """
    subject = page.stem
    rows = sorted(read_rows(manifest, _COLUMNS), key=severity)
    drawn = dict(
        _draw(
            {row["clip_id"]: row for row in rows},
            (faces, alignment, frames, expression),
            samples,
            page.parent.parent,
            show_faces,
        )
    )
    clips = [_facts(row) | {"drawn": drawn.get(row["clip_id"])} for row in rows]
    thresholds = {name: {"jitter": j, "drift": d} for name, _, _, j, d in GRADES}
    render(
        page,
        "subject.html.j2",
        ASSETS,
        data={
            "clips": clips,
            "faces": show_faces,
            "grades": thresholds,
            "dots": {"count": len(DOTS), "units": UNITS},
            "brightest": MOST_DEVIATION,
        },
        context={
            "title": subject,
            "subject": subject,
            "faces": show_faces,
            "clips": clips,
            "grades": Counter(row["grade"] or "none" for row in rows),
            "limits": thresholds,
            "statuses": sorted(Counter(row["status"] for row in rows).items()),
            "emotions": sorted({row["emotion"] for row in rows if row["emotion"]}),
        },
        provenance=provenance,
    )


def severity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return by what clips are ordered, the worst first.

    Lost ones, then those that have images and no samples, then by grade and by what jitter is left.
    """
    return (
        row["grade"] is not None,
        row["status"] == "ok",
        -ord(row["grade"] or "Z"),
        -(row["residual_jitter_px"] or 0.0),
        row["clip_id"],
    )


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: row[name] for name in _FACTS}
    facts |= {name: json_number(row[name]) for name in _MEASURES}
    if row["processed"]:
        facts["n_without_face"] = row["n_frames"] - row["n_detected"]
    else:
        facts["n_without_face"] = None
    return facts


def _draw(
    rows: Mapping[str, Mapping[str, Any]],
    tables: tuple[Path, Path, Path, Path],
    samples: Mapping[str, Path],
    results: Path,
    show_faces: bool,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is drawn of each clip that was decoded, one in memory at a time.

    All tables have their clips in the same order; some lack some.
    """
    faces, alignment, frames, expression = (_Clips(path) for path in tables)
    schemes = {name: _Clips(path) for name, path in sorted(samples.items())}
    for clip_id, face_rows in faces:
        taken = {name: clips.take(clip_id) for name, clips in schemes.items()}
        yield (
            clip_id,
            record_clip(
                rows[clip_id],
                face_rows,
                _required(alignment.take(clip_id)),
                frames.take(clip_id),
                expression.take(clip_id),
                {name: table for name, table in taken.items() if table is not None},
                results,
                show_faces,
            ),
        )


class _Clips:
    """The clips of a table, taken in order by those who know which come."""

    def __init__(self, path: Path) -> None:
        self._clips = iterate_clips(path)
        self._next = next(self._clips, None)

    def __iter__(self) -> Iterator[tuple[str, pa.Table]]:
        while self._next is not None:
            found, self._next = self._next, next(self._clips, None)
            yield found

    def take(self, clip_id: str) -> pa.Table | None:
        """Return the clip's rows if it is the next one."""
        if self._next is None or self._next[0] != clip_id:
            return None
        _, rows = self._next
        self._next = next(self._clips, None)
        return rows


def _required(table: pa.Table | None) -> pa.Table:
    assert table is not None, "every decoded clip has rows in `alignment`"
    return table
