"""Compare a published manifest with a recomputed one: what is equal, what nearly, what not.

The verdict on a stage of a clip:

==================  ======================================================================
``identical``       the digests are equal
``equivalent``      they are not, but the fingerprints differ by less than the tolerances:
                    another CPU, another build of a library
``different``       they differ by more, or in what is counted
``source_differs``  the video is another one
``missing``         one of the two has no such clip
==================  ======================================================================

The verdict on a clip is the worst of its stages'; the first stage that differs explains those
after it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cmedprep.fingerprints import displacement, landmark_distance, psnr

VERDICTS = ("identical", "equivalent", "different", "source_differs", "missing")
"""From best to worst."""

REPRODUCED = ("identical", "equivalent")
"""Verdicts that prove a clip."""

STAGES = (
    *("source", "index", "faces", "alignment", "frames", "expression", "samples", "motion"),
    "manifest",
)

LANDMARK_TOLERANCE_PX = 0.25
"""Of the aligned crop: by so much may a landmark differ."""

MATRIX_TOLERANCE_PX = 0.1
"""Of the aligned crop: by so much may a transform move one of its corners, and jitter and drift
differ."""

LEAST_PSNR_DB = 45.0
"""Of the aligned images."""

MOTION_TOLERANCE = 0.02
"""By this share may an expression's greatest motion, a mean flow or a mean strain differ."""

LEAST_SNR = 8.0
"""Of an expression's motion; below it its apex is a guess (docs/apex.md)."""

_INDEX_COLUMNS = (
    "status", "apex_frame", "apex_source", "emotion", "emotion_3class", "n_frames", "processed",
    "filename", "size_bytes", "codec", "width", "height", "rotation_deg", "fps", "duration_s",
)  # fmt: skip
# Where a video lies and how a row spells things is not the same for everybody.
_OWN = (
    *("path", "reason"),
    *("metadata_subject", "metadata_filename", "metadata_emotion", "metadata_apex_frame"),
)
_RESIDUALS = ("residual_jitter_px", "residual_drift_px")
_ROUNDED = ("faces", "alignment", "frames", "expression", "samples", "motion")
_Row = Mapping[str, Any]
_Finding = tuple[str, str]
_Nearness = tuple[bool, str]


@dataclass(frozen=True, slots=True)
class Differences:
    """By how much two clips' fingerprints differ at most; NaN where they cannot be compared.

    Attributes
    ----------
    landmark_distance_px, matrix_distance_px : float
        In pixels of the aligned crop: distance of landmarks, of a corner of the crop.
    psnr_db : float
        Of the aligned images; inf where no difference was found.
    residuals_px : float
        By which jitter or drift differ at most; inf where one side has none.
    """

    landmark_distance_px: float = float("nan")
    matrix_distance_px: float = float("nan")
    psnr_db: float = float("nan")
    residuals_px: float = 0.0


_Check = Callable[[_Row, _Row, Differences], _Finding]


def compare_manifests(
    published: Iterable[_Row], recomputed: Iterable[_Row]
) -> list[dict[str, Any]]:
    """Return one row of `schemas.VERIFICATION` for each clip of either manifest.

    Parameters
    ----------
    published, recomputed : iterable of mapping
        Rows of `schemas.MANIFEST` of one subject.
    """
    before = {row["clip_id"]: row for row in published}
    now = {row["clip_id"]: row for row in recomputed}
    return [
        compare_clips(before.get(clip_id), now.get(clip_id)) for clip_id in sorted(before | now)
    ]


def compare_clips(published: _Row | None, recomputed: _Row | None) -> dict[str, Any]:
    """Return the row of `schemas.VERIFICATION` of one clip; None where a side has no such."""
    row = published or recomputed
    assert row is not None
    keys = {name: row[name] for name in ("clip_id", "subject", "emotion", "filename")}
    nothing: dict[str, Any] = dict.fromkeys(STAGES)
    numbers: dict[str, Any] = dict.fromkeys(
        ("landmark_distance_px", "matrix_distance_px", "psnr_db")
    )
    if published is None or recomputed is None:
        where = "published" if published is None else "recomputed"
        note = f"the {where} manifest has no such clip"
        return keys | nothing | numbers | {"verdict": "missing", "first": None, "note": note}
    apart = measure(published, recomputed)
    findings = {stage: check(published, recomputed, apart) for stage, check in _CHECKS.items()}
    if findings["source"][0] == "source_differs":
        findings = {"source": findings["source"]}
    elif all(findings[stage][0] == "identical" for stage in _ROUNDED):
        findings["manifest"] = _rest(published, recomputed)
    verdicts = {stage: verdict for stage, (verdict, _) in findings.items()}
    worst = max(verdicts.values(), key=VERDICTS.index)
    first = next((stage for stage, verdict in verdicts.items() if verdict != "identical"), None)
    return (
        keys
        | nothing
        | verdicts
        | numbers
        | {
            name: value
            for name, value in asdict(apart).items()
            if name in numbers and worst != "source_differs" and not np.isnan(value)
        }
        | {"verdict": worst, "first": first, "note": findings[first][1] if first else ""}
    )


def worst_verdict(rows: Iterable[_Row]) -> str:
    """Return the worst verdict on any clip."""
    return max((row["verdict"] for row in rows), key=VERDICTS.index, default="identical")


def _source(a: _Row, b: _Row, _: Differences) -> _Finding:
    if a["sha256"] == b["sha256"]:
        return "identical", ""
    for row, name in ((a, "published"), (b, "recomputed")):
        if row["sha256"] is None:
            return "source_differs", f"the {name} manifest has no video for it: {row['reason']}"
    return "source_differs", f"SHA-256 {a['sha256'][:12]}… published, {b['sha256'][:12]}… here"


def _index(a: _Row, b: _Row, _: Differences) -> _Finding:
    changed = [name for name in _INDEX_COLUMNS if a[name] != b[name]]
    if not changed:
        return "identical", ""
    return "different", ", ".join(f"{name} {a[name]} → {b[name]}" for name in changed)


def _rest(a: _Row, b: _Row) -> _Finding:
    """Compare all that was made of stages that are equal: what filters and exclusions use.

    Where a stage differs by rounding, so may what is made of it.
    """
    changed = [n for n in a if n not in _OWN and repr(a[n]) != repr(b.get(n))]
    if not changed:
        return "identical", ""
    return "different", f"digests are equal, and yet {', '.join(changed)}"


def _counted(
    digest: str, counts: tuple[str, ...], what: str, near: Callable[[Differences], _Nearness]
) -> _Check:
    """Return a check of a stage with a digest, counts, and a measure of nearness."""

    def check(a: _Row, b: _Row, apart: Differences) -> _Finding:
        if a[digest] == b[digest]:
            return "identical", ""
        if changed := [f"{name} {a[name]} → {b[name]}" for name in counts if a[name] != b[name]]:
            return "different", f"{what}: {', '.join(changed)}"
        if [f["frame_index"] for f in _prints(a)] != [f["frame_index"] for f in _prints(b)]:
            return "different", f"{what}: others"
        if not _prints(a):
            return "different", "no frame to compare by"
        close, note = near(apart)
        return ("equivalent" if close else "different"), note

    return check


def _near_faces(apart: Differences) -> _Nearness:
    distance = apart.landmark_distance_px
    return distance <= LANDMARK_TOLERANCE_PX, f"landmarks up to {distance:.4f} px apart"


def _near_alignment(apart: Differences) -> _Nearness:
    distance, residuals = apart.matrix_distance_px, apart.residuals_px
    close = distance <= MATRIX_TOLERANCE_PX and residuals <= MATRIX_TOLERANCE_PX
    return close, f"transforms up to {distance:.4f} px apart, residuals {residuals:.4f} px"


def _near_frames(apart: Differences) -> _Nearness:
    level = apart.psnr_db
    return level >= LEAST_PSNR_DB, f"images down to {level:.1f} dB PSNR"


def _expression(a: _Row, b: _Row, apart: Differences) -> _Finding:
    if a["expression_sha256"] == b["expression_sha256"]:
        return "identical", ""
    apexes = a["motion_apex_frame"], b["motion_apex_frame"]
    peaks = a["motion_peak_px"], b["motion_peak_px"]
    close = apexes[0] == apexes[1] and _within(*peaks)
    if not close and all((row["motion_snr"] or 0) < LEAST_SNR for row in (a, b)):
        # Where nothing stands out, the least difference of the images moves the peak.
        close = a["frames_sha256"] != b["frames_sha256"] and _near_frames(apart)[0]
    note = f"motion apex {apexes[0]} → {apexes[1]}, peak {peaks[0]} → {peaks[1]} px"
    return ("equivalent" if close else "different"), note


def _samples(a: _Row, b: _Row, apart: Differences) -> _Finding:
    if changed := _changed_parts(a, b, "samples", "scheme", "sha256"):
        return "different", ", ".join(changed)
    if not (changed := _changed_parts(a, b, "samples", "scheme", "pixels_sha256")):
        return "identical", ""
    # Slots are equal and their images are not, which are frames or made of frames.
    close = a["frames_sha256"] != b["frames_sha256"] and _near_frames(apart)[0]
    return ("equivalent" if close else "different"), f"images of {', '.join(changed)}"


def _motion(a: _Row, b: _Row, _: Differences) -> _Finding:
    if not (changed := _changed_parts(a, b, "motion", "method", "sha256")):
        return "identical", ""
    before, now = ({m["method"]: m for m in row["motion"]} for row in (a, b))
    close = before.keys() == now.keys() and all(
        _within(before[name][value], now[name][value])
        for name in changed
        for value in ("mean_px", "mean_strain")
    )
    return ("equivalent" if close else "different"), ", ".join(changed)


def _changed_parts(a: _Row, b: _Row, column: str, name: str, digest: str) -> list[str]:
    """Return the schemes or methods whose digests differ, or that only one side has."""
    before, now = ({part[name]: part[digest] for part in row[column]} for row in (a, b))
    nothing = object()
    return sorted(n for n in before | now if before.get(n, nothing) != now.get(n, nothing))


def _within(before: float | None, now: float | None) -> bool:
    """Tell whether two measures of motion are as good as equal."""
    if before is None or now is None:
        return before is now
    return abs(now - before) <= MOTION_TOLERANCE * max(abs(before), abs(now))


_CHECKS: dict[str, _Check] = {
    "source": _source,
    "index": _index,
    "faces": _counted(
        "faces_sha256", ("n_detected", "n_several_faces"), "frames with a face", _near_faces
    ),
    "alignment": _counted(
        "alignment_sha256",
        ("n_written", "n_interpolated", "n_stabilised"),
        "frames aligned",
        _near_alignment,
    ),
    "frames": _counted(
        "frames_sha256", ("n_written", "n_repeats", "longest_freeze"), "images", _near_frames
    ),
    "expression": _expression,
    "samples": _samples,
    "motion": _motion,
}


def _prints(row: _Row) -> list[Mapping[str, Any]]:
    return row["fingerprints"] or []


def measure(a: _Row, b: _Row) -> Differences:
    """Measure by how much the fingerprints of a clip in two manifests differ."""
    pairs = [
        (one, other)
        for one in _prints(a)
        for other in _prints(b)
        if one["frame_index"] == other["frame_index"]
    ]
    if not pairs or a["crop_px"] != b["crop_px"]:
        return Differences()
    size = a["crop_px"]
    scales = [np.sqrt(abs(np.linalg.det(np.reshape(o["matrix"], (2, 3))[:, :2]))) for o, _ in pairs]
    apart = [scale * landmark_distance(*pair) for scale, pair in zip(scales, pairs, strict=True)]
    levels = [psnr(one["projections"], other["projections"], 3 * size**2) for one, other in pairs]
    return Differences(
        float(np.max(apart)),
        max(displacement(*pair, size) for pair in pairs),
        min(levels),
        max(_apart(a[name], b[name]) for name in _RESIDUALS),
    )


def _apart(one: float | None, other: float | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    return abs(one - other)


def describe(rows: Iterable[_Row]) -> str:
    """Return verdicts as a table to read in a terminal."""
    rows = sorted(rows, key=lambda row: (-VERDICTS.index(row["verdict"]), row["clip_id"]))
    counts = Counter(row["verdict"] for row in rows)
    lines = [", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v]) or "no clip"]
    width = max((len(row["clip_id"]) for row in rows), default=0)
    for row in rows:
        where = f"  from {row['first']}: {row['note']}" if row["first"] else f"  {row['note']}"
        lines.append(f"  {row['clip_id']:{width}}  {row['verdict']:14}{where}".rstrip())
    return "\n".join(lines)


def explain(published: Mapping[str, Any], recomputed: Mapping[str, Any]) -> str:
    """Return in words how the making of two manifests differs: code, packages, models."""
    differences = []
    for kind, what in (("packages", "version"), ("models", "model")):
        before, now = published.get(kind, {}), recomputed.get(kind, {})
        differences += [
            f"{what} of {name}: {before.get(name, 'none')} published, {now.get(name, 'none')} here"
            for name in sorted(before | now)
            if before.get(name) != now.get(name)
        ]
    before, now = _codes(published), _codes(recomputed)
    changed = [stage for stage in now if before.get(stage) != now[stage]]
    differences += [f"code of {', '.join(changed)}"] if changed else []
    if not differences:
        return "Code, packages and models are those of the published manifest."
    return "Made by other means than the published manifest: " + "; ".join(differences) + "."


def _codes(origin: Mapping[str, Any]) -> dict[str, str]:
    upstream = origin["upstream"]
    stages = {
        # A stage with a folder for each scheme or method names the code of each.
        stage: made["code"]
        if "code" in made
        else ", ".join(sorted({part["code"] for part in made.values()}))
        for stage, made in upstream.items()
    }
    return stages | {"write_manifest": origin["code"]}
