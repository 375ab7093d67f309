"""What is said of the data set as a whole: where every row went, and how the clips are spread."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

Row = Mapping[str, Any]

MEANINGS = {
    "ok": "usable",
    "malformed_row": "the row has more cells than the header has columns",
    "invalid_name": "subject or filename cannot be the name of a file",
    "unknown_emotion": "the emotion is none of the config's",
    "missing_video": "no file of that name",
    "ambiguous_video": "several files fit, or several subjects claim the file",
    "forbidden_video": "the file leads out of the data set, or is no regular file",
    "duplicate": "another row names the same clip",
    "stray_video": "a video that no row names",
    "unreadable_video": "the file is no video, or has no frame",
    "truncated_video": "the video ends or breaks before its last frame",
    "inconsistent_video": "size or rotation change on the way",
    "over_limit": "decoding takes more than the config's limits",
    "conflicting_apex": "rows of this clip state different apex frames",
    "apex_invalid": "the apex frame is not a whole number",
    "apex_missing": "the apex frame of an expression is blank",
    "apex_out_of_range": "the apex frame lies outside the video",
    "unexpected_apex": "an apex frame of a clip without expression",
    "not_selected": "the subject is not among the config's",
    "no_face": "no frame has a face",
    "apex_not_found": "the apex was to be that of the motion, which has none",
    "apex_without_face": "the apex frame has no face",
}
"""What each status means, in the order in which they are listed."""

LEAST_DISTANCE = 3
"""Frames between annotated and motion apex from which a clip is listed."""

SURE_SNR = 8.0
"""Above this the motion rises and falls as one; see docs/apex.md."""

MOST_LISTED = 200


def merge_rows(clips: Iterable[Row], manifests: Iterable[Row]) -> list[dict[str, Any]]:
    """Return every row of the ledger, with what the manifests say of those that were processed.

    A manifest knows more, and its status is the last word: whether there was a face at all.
    """
    known = {row["clip_id"]: row for row in manifests}
    return [{**clip, **known.get(clip["clip_id"], {})} for clip in clips]


def fate(row: Row) -> tuple[str, str, str]:
    """Return the way of a row through the ledger: where from, aligned or lost, and its end."""
    origin = "metadata rows" if row["metadata_row"] is not None else "videos without a row"
    if not row.get("n_written"):
        return origin, "no images", row["status"]
    if row["status"] != "ok":
        return origin, "aligned", row["status"]
    if not any(part["n_slots"] for part in row["samples"] or ()):
        return origin, "aligned", "not sampled"
    return origin, "aligned", f"sampled: {_APEX.get(row['apex_source'], 'without expression')}"


_APEX = {"annotated": "annotated apex", "clamped": "clamped apex", "motion": "motion apex"}


def ledger(rows: Iterable[Row]) -> dict[str, Any]:
    """Return the flow of all rows from the metadata file to samples, for a Sankey diagram.

    Returns
    -------
    dict
        `nodes`, and `links` as source, target and count. What flows into a node flows out of it.
    """
    ways = Counter(fate(row) for row in rows)
    links: Counter[tuple[str, str]] = Counter()
    for way, count in ways.items():
        for source, target in pairwise(way):
            links[source, target] += count
    nodes = sorted({node for way in ways for node in way}, key=_node_order)
    return {
        "nodes": nodes,
        "links": [
            [nodes.index(source), nodes.index(target), links[source, target]]
            for source, target in sorted(links)
        ],
    }


def _node_order(node: str) -> tuple[int, str]:
    first = ("metadata rows", "videos without a row", "aligned", "no images")
    return (first.index(node) if node in first else len(first), node)


def statuses(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Count metadata rows and videos without a row by status; the sums are those of the ledger."""
    listed = Counter(row["status"] for row in rows if row["metadata_row"] is not None)
    strays = Counter(row["status"] for row in rows if row["metadata_row"] is None)
    order = [*MEANINGS, *sorted({*listed, *strays} - set(MEANINGS))]
    return [
        {
            "status": status,
            "rows": listed[status],
            "strays": strays[status],
            "meaning": MEANINGS.get(status, ""),
        }
        for status in order
        if listed[status] or strays[status]
    ]


def balance(rows: Sequence[Row], classes: Mapping[str, str | None]) -> dict[str, Any]:
    """Count the clips of each emotion, and of each of three classes.

    Parameters
    ----------
    rows : sequence of mapping
        Every row of the ledger.
    classes : mapping
        The config's `labels.three_class`.
    """

    def counts(named: Iterable[Row]) -> list[int]:
        three = Counter(_outcome(row) for row in named)
        return [three["usable"], three["aligned"], three["lost"]]

    rows = [row for row in rows if row["metadata_row"] is not None]
    emotions = [*classes, *sorted({r["emotion"] for r in rows if r["emotion"]} - set(classes))]
    three = [*dict.fromkeys(name for name in classes.values() if name), None]
    return {
        "outcomes": ["usable", "aligned, apex unusable", "lost"],
        "emotions": [
            {"name": name, "counts": counts(r for r in rows if r["emotion"] == name)}
            for name in emotions
        ],
        "classes": [
            {
                "name": name or "without class",
                "counts": counts(
                    r
                    for r in rows
                    if r["emotion"] in emotions and classes.get(r["emotion"]) == name
                ),
            }
            for name in three
        ],
    }


def _outcome(row: Row) -> str:
    if row["status"] == "ok":
        return "usable"
    return "aligned" if row.get("n_written") else "lost"


def subjects(rows: Sequence[Row], emotions: Sequence[str]) -> list[dict[str, Any]]:
    """Sum up each subject: usable clips by emotion, lost ones, grades, jitter."""
    found = []
    for subject in sorted({row["subject"] for row in rows if row["subject"]}):
        own = [row for row in rows if row["subject"] == subject]
        usable = Counter(row["emotion"] for row in own if row["status"] == "ok")
        grades = Counter(row.get("grade") for row in own)
        jitter = [row["residual_jitter_px"] for row in own if row.get("residual_jitter_px")]
        found.append(
            {
                "subject": subject,
                "clips": len(own),
                "usable": usable.total(),
                "emotions": [usable[emotion] for emotion in emotions],
                "grades": [grades[grade] for grade in "ABC"],
                "jitter": median(jitter) if jitter else None,
                "selected": any(row["status"] != "not_selected" for row in own),
            }
        )
    return found


def label_check(rows: Sequence[Row]) -> dict[str, Any]:
    """Compare annotated and motion apexes, and list the clips where they are far apart.

    The surest come first: those where the motion rises and falls as one, and farthest.
    """
    checked = [row for row in rows if row.get("motion_apex_distance") is not None]
    apart = [row for row in checked if abs(row["motion_apex_distance"]) >= LEAST_DISTANCE]
    apart.sort(
        key=lambda row: (
            (row["motion_snr"] or 0.0) < SURE_SNR,
            -abs(row["motion_apex_distance"]),
            row["clip_id"],
        )
    )
    within = [sum(abs(r["motion_apex_distance"]) <= n for r in checked) for n in (1, 2)]
    return {
        "checked": len(checked),
        "within": within,
        "apart": len(apart),
        "outliers": [
            {
                name: row[name]
                for name in (
                    *("clip_id", "subject", "emotion", "apex_frame", "motion_apex_frame"),
                    *("motion_apex_distance", "motion_snr", "motion_peak_px", "n_frames", "grade"),
                )
            }
            for row in apart[:MOST_LISTED]
        ],
    }
