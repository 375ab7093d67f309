"""The ledger of clips: what each metadata row and each stray video turned out to be.

A clip's status is the first fault that keeps it from a complete result, or ``ok``:

======================  ==================================================================
``malformed_row``       the row has more cells than the header has columns
``invalid_name``        subject or filename cannot be a name, or leads out of its folder
``unknown_emotion``     the emotion is none of the config's `labels.three_class`
``missing_video``       no file of that name
``ambiguous_video``     several files fit, or, in the flat layout, several subjects claim it
``forbidden_video``     the file is a link out of the data set's root, or no regular file
``duplicate``           another row names the same clip
``stray_video``         a video that no row names
``unreadable_video``    the file is no video, or has no frame
``truncated_video``     the video's data ends or breaks before its last frame, or some of its
                        pictures cannot be decoded
``inconsistent_video``  the size or rotation of the video's frames changes
``over_limit``          decoding the video goes beyond the config's `limits`
``conflicting_apex``    rows of the same clip state different apex frames
``apex_invalid``        the apex frame is not a whole number
``apex_missing``        the apex frame is blank, and the emotion is an expression
``apex_out_of_range``   the apex frame lies outside the video
``unexpected_apex``     an apex frame is given for a clip without expression
``no_face``             no frame has a face (found by the manifest)
``apex_not_found``      the motion was to give the apex and has none (by the manifest)
``apex_without_face``   the apex frame has no face (found by the manifest)
``not_selected``        the subject is not among the config's `subjects`
======================  ==================================================================

A clip whose only fault is its apex is still detected, aligned and extracted; samples leave
it out.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cmedplan.digests import digest_file
from cmedplan.plan import PROCESSABLE, PlannedClip, parse_apex
from cmedprep.decoding import VideoError
from cmedprep.probing import Prober

_VIDEO_FACTS = (
    "path",
    "sha256",
    "size_bytes",
    "codec",
    "width",
    "height",
    "rotation_deg",
    "fps",
    "n_frames",
    "duration_s",
)
EXCLUDE = {"missing": "exclude", "out_of_range": "exclude"}
"""The config's `apex` by which no clip is kept without its annotated apex frame."""

_UNPROBED = {"processed": False, "video_status": None, "video_reason": None}


def clip_keys(clip: PlannedClip) -> dict[str, Any]:
    """Return the columns that name a clip in every table."""
    return {
        "clip_id": clip.clip_id,
        "subject": clip.subject,
        "emotion": clip.emotion or None,
        "filename": clip.filename,
    }


def probe_clip(
    clip: PlannedClip,
    root: Path,
    prober: Prober,
    known: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Open a clip's video, decode it whole, and return its row of `schemas.VIDEOS`.

    Strays are probed too. A clip without a file that may be opened has null facts. The reason
    of an ``ok`` video is empty or says what is unusual about it. A video whose row of an earlier
    probe is `known`, by its path below the root, is not opened.
    """
    row = clip_keys(clip) | dict.fromkeys(_VIDEO_FACTS)
    row |= _UNPROBED
    if clip.video is None:
        return row
    if known and clip.video.path in known:
        earlier = known[clip.video.path]
        row |= {name: earlier[name] for name in (*_VIDEO_FACTS, "video_status", "video_reason")}
        return row | {"processed": clip.status in PROCESSABLE}
    file = root / clip.video.path
    row["path"] = clip.video.path
    try:
        row |= {"sha256": digest_file(file), "size_bytes": file.stat().st_size}
        facts = asdict(prober.probe(file))
        row |= {"video_status": "ok", "video_reason": facts.pop("remark")} | facts
    except VideoError as error:
        return row | {"video_status": error.status, "video_reason": str(error)}
    except PermissionError as error:
        return row | {"video_status": "unreadable_video", "video_reason": str(error.strerror)}
    return row | {"processed": clip.status in PROCESSABLE}


def assess_clip(
    clip: PlannedClip,
    video: Mapping[str, Any],
    rules: Mapping[str, Any],
    labels: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a clip's row of `schemas.INDEX`.

    Parameters
    ----------
    clip : PlannedClip
        The clip as planned.
    video : mapping
        Its row of `schemas.VIDEOS`.
    rules : mapping
        The config's `apex`: what becomes of a clip whose apex frame is missing or outside the
        video. ``motion`` keeps it, without an apex frame, to be sampled at that of the motion.
    labels : mapping
        The config's `labels`.
    """
    row = clip_keys(clip) | {name: video[name] for name in _VIDEO_FACTS}
    status, reason = clip.status, clip.reason
    apex = source = None
    if status in PROCESSABLE and video["video_status"] != "ok":
        status, reason = video["video_status"], video["video_reason"]
    elif status == "ok" and clip.row is not None:
        expressive = clip.emotion != labels["without_expression"]
        cell, n_frames = clip.row.apex_frame, video["n_frames"]
        status, reason, apex, source = _assess_apex(cell, expressive, n_frames, rules)
        if status == "ok":
            reason = "; ".join(filter(None, (reason, video["video_reason"])))
    return row | {
        "status": status,
        "reason": reason,
        "processed": video["processed"],
        "apex_frame": apex,
        "apex_source": source,
        "emotion_3class": labels["three_class"].get(clip.emotion),
        "metadata_subject": clip.row.subject if clip.row else None,
        "metadata_filename": clip.row.filename if clip.row else None,
        "metadata_emotion": clip.row.emotion if clip.row else None,
        "metadata_apex_frame": clip.row.apex_frame if clip.row else None,
    }


def _assess_apex(
    cell: str, expressive: bool, n_frames: int, rules: Mapping[str, Any]
) -> tuple[str, str, int | None, str | None]:
    """Return status, reason, apex frame and where the apex comes from."""
    try:
        apex = parse_apex(cell)
    except ValueError as error:
        return "apex_invalid", str(error), None, None
    if not expressive:
        if apex is None:
            return "ok", "", None, None
        return "unexpected_apex", f"apex frame {apex} in a clip without expression", None, None
    if apex is not None and 0 <= apex < n_frames:
        return "ok", "", apex, "annotated"
    fault, rule, reason = "apex_missing", rules["missing"], "the apex frame is blank"
    if apex is not None:
        fault, rule = "apex_out_of_range", rules["out_of_range"]
        reason = f"apex frame {apex} lies outside the video's frames 0 to {n_frames - 1}"
        if rule == "clamp":
            clamped = min(max(apex, 0), n_frames - 1)
            return "ok", f"{reason}; clamped to {clamped}", clamped, "clamped"
    if rule == "motion":
        return "ok", f"{reason}; that of the motion is taken", None, "motion"
    return fault, reason, None, None


def list_unprocessed(
    clip: PlannedClip, root: Path, labels: Mapping[str, Any], prober: Prober
) -> dict[str, Any]:
    """Return the row of a clip that no subject's jobs have looked at.

    It belongs to no subject, and is probed here if it has a video; or to a subject that the
    config does not select, and is not.
    """
    if clip.subject is None:
        return assess_clip(clip, probe_clip(clip, root, prober), EXCLUDE, labels)
    row = assess_clip(clip, dict.fromkeys(_VIDEO_FACTS) | _UNPROBED, EXCLUDE, labels)
    reason = f"subject {clip.subject} is not among the config's `subjects`"
    path = clip.video.path if clip.video else None
    return row | {"status": "not_selected", "reason": reason, "path": path}
