"""Match every metadata row with its video file: the ledger before any video is opened."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cmedplan.errors import PlanError
from cmedplan.metadata import MetadataRow, read_metadata
from cmedplan.names import emotion_key, fault, has_video_suffix, key, path_component, stem, tidy
from cmedplan.scan import VideoFile, choose_layout, scan_videos

PROCESSABLE = frozenset({"ok", "conflicting_apex"})
"""Planned statuses of clips whose video goes through the workflow, if it can be read."""

BLANK_APEX = frozenset({"", "nan", "na", "n/a", "null", "none"})
_WHOLE_NUMBER = re.compile(r"([+-]?\d{1,18})(?:\.0*)?")


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """One metadata row or stray video, matched with its file where there is one.

    `status` is ``ok`` as far as names and cells tell; what only the video can tell is found
    when it is probed. `subject` is None where the row belongs to no subject. `clip_id` is
    ``{subject}/{emotion}/{clip}``, unique in the data set, and safe as a relative path.
    `video` is given for every file that may be opened.
    """

    clip_id: str
    subject: str | None
    emotion: str
    filename: str
    status: str
    reason: str
    row: MetadataRow | None
    video: VideoFile | None


@dataclass(frozen=True, slots=True)
class Plan:
    """All clips of a data set by subject, and those that belong to no subject.

    `selected` are the subjects that the config asks for, sorted.
    """

    subjects: Mapping[str, tuple[PlannedClip, ...]]
    homeless: tuple[PlannedClip, ...]
    selected: tuple[str, ...]

    def clips(self, subject: str) -> tuple[PlannedClip, ...]:
        """Return the clips of a subject, sorted by clip.

        Raises
        ------
        PlanError
            There is no such subject.
        """
        if subject not in self.subjects:
            raise PlanError(
                f"subject `{subject}`",
                expected=f"one of {_listing(self.subjects)}",
                found="no metadata row and no folder of that name",
            )
        return self.subjects[subject]

    def all_clips(self) -> Iterator[PlannedClip]:
        """Yield the clips of all subjects, selected or not, and then the homeless ones."""
        for clips in self.subjects.values():
            yield from clips
        yield from self.homeless


def make_plan(config: Mapping[str, Any]) -> Plan:
    """Read the metadata file, scan the folders, and match one with the other.

    Parameters
    ----------
    config : mapping
        The complete config; `dataset`, `labels` and `subjects` are used.

    Raises
    ------
    PlanError
        The root, the layout's folder, the metadata file or a column is missing, or
        `subjects` names one that does not exist.
    """
    dataset = config["dataset"]
    root = Path(dataset["root"])
    layout, folder = choose_layout(root, dataset["layout"])
    rows = read_metadata(root / dataset["metadata"], dataset["columns"])
    files = scan_videos(root, layout, folder)
    clips = _Matcher(files, layout, tuple(config["labels"]["three_class"])).match(rows)
    by_subject: defaultdict[str, list[PlannedClip]] = defaultdict(list)
    homeless = []
    for clip in clips:
        if clip.subject is None:
            homeless.append(clip)
        else:
            by_subject[clip.subject].append(clip)
    subjects = {
        subject: _number_clips(subject, by_subject[subject]) for subject in sorted(by_subject)
    }
    return Plan(
        subjects=subjects,
        # No subject can be called `~`, so these identifiers cannot meet a subject's.
        homeless=_number_clips("~", homeless),
        selected=_select(config["subjects"], subjects),
    )


def parse_apex(text: str) -> int | None:
    """Return the apex frame that a cell states, or None for a blank cell.

    ``12``, ``12.0`` and `` 12 `` are 12; blanks are also written NaN, NA, N/A, null, none.

    Raises
    ------
    ValueError
        The cell is neither blank nor a whole number.

    >>> parse_apex(" 12.0 "), parse_apex("NaN")
    (12, None)
    """
    cell = text.strip()
    if cell.casefold() in BLANK_APEX:
        return None
    number = _WHOLE_NUMBER.fullmatch(cell)
    if number is None:
        raise ValueError(f"apex frame {cell!r} is not a whole number")
    return int(number[1])


def digest_clips(
    clips: Iterable[PlannedClip], *, files: bool, times: bool = True, numbers: bool = False
) -> str:
    """Return a digest that changes with the clips' rows or, with `files`, their files.

    With `files` it covers which file is to be opened for each clip, to what end, its size
    and, with `times`, its modification time; without, what the metadata says and how it was
    matched. A row's number counts only with `numbers`: reordering the metadata file changes
    no subject.
    """
    digest = hashlib.sha256()
    for clip in clips:
        video, row = clip.video, clip.row
        facts: Sequence[object]
        if files:
            file = (video.path, video.size, video.mtime_ns if times else 0) if video else ()
            facts = (clip.status in PROCESSABLE, *file)
        else:
            facts = (
                clip.status,
                clip.reason,
                *((row.subject, row.filename, row.emotion, row.apex_frame) if row else ()),
                row.number if row and numbers else None,
            )
        digest.update(json.dumps((clip.clip_id, *facts)).encode())
    return digest.hexdigest()


class _Matcher:
    """Looks up the one file that a metadata row means."""

    def __init__(self, files: Sequence[VideoFile], layout: str, emotions: Sequence[str]) -> None:
        self.files = files
        self.refused: set[str] = set()
        self.contested: set[str] = set()
        self.flat = layout == "flat"
        self.emotions = {emotion_key(emotion): emotion for emotion in emotions}
        self.by_key: defaultdict[tuple[str, ...], list[VideoFile]] = defaultdict(list)
        for file in files:
            if file.emotion is not None:
                place = self._place(file.emotion, file.subject or "")
                self.by_key[*place, key(file.filename)].append(file)
                if has_video_suffix(file.filename):
                    self.by_key[*place, "stem", key(stem(file.filename))].append(file)

    def match(self, rows: Sequence[MetadataRow]) -> list[PlannedClip]:
        """Return one planned clip for each row and for each video without a row."""
        spellings = self._spell_subjects(rows)
        clips = _mark_repeats([self._match_row(row, spellings) for row in rows])
        if self.flat:
            clips = _mark_shared_files(clips)
        claimed = self.refused | {clip.video.path for clip in clips if clip.video}
        strays = (file for file in self.files if file.path not in claimed)
        return clips + [
            self._stray(file, spellings) for file in strays if has_video_suffix(file.filename)
        ]

    def _place(self, emotion: str, subject: str) -> tuple[str, ...]:
        return (emotion_key(emotion),) if self.flat else (emotion_key(emotion), key(subject))

    def _spell_subjects(self, rows: Sequence[MetadataRow]) -> dict[str, str]:
        """Choose one spelling for each subject: its folder's, or else the rows' commonest."""
        in_folders = Counter(file.subject for file in self.files if file.subject)
        in_rows = Counter(row.subject for row in rows)
        spellings: dict[str, str] = {}
        for counter in (in_folders, in_rows):
            ranked = sorted(counter, key=lambda name: (-counter[name], name))
            for name in ranked:
                spellings.setdefault(key(name), tidy(name))
        return spellings

    def _match_row(self, row: MetadataRow, spellings: Mapping[str, str]) -> PlannedClip:
        spelling = spellings[key(row.subject)]
        subject = spelling if subject_fault(row.subject) is None else None
        emotion = self.emotions.get(emotion_key(row.emotion))
        clip = PlannedClip(
            clip_id="",
            subject=subject,
            emotion=emotion or row.emotion.strip(),
            filename=row.filename.strip(),
            status="ok",
            reason="",
            row=row,
            video=None,
        )
        if row.surplus:
            reason = "the row has more cells than the header has columns"
            return replace(clip, status="malformed_row", reason=reason)
        if subject is None:
            reason = f"subject {row.subject!r}: {subject_fault(row.subject)}"
            return replace(clip, status="invalid_name", reason=reason)
        if why := fault(row.filename):
            reason = f"filename {row.filename!r}: {why}"
            return replace(clip, status="invalid_name", reason=reason)
        if emotion is None:
            known = ", ".join(self.emotions.values())
            reason = f"emotion {row.emotion!r} is none of `labels.three_class`: {known}"
            return replace(clip, status="unknown_emotion", reason=reason)
        return self._find_file(clip, row)

    def _find_file(self, clip: PlannedClip, row: MetadataRow) -> PlannedClip:
        place = self._place(clip.emotion, row.subject)
        found = self.by_key.get((*place, key(row.filename)), [])
        if not found and not has_video_suffix(row.filename):
            found = self.by_key.get((*place, "stem", key(row.filename)), [])
        exact = [file for file in found if _spelled_alike(file, row)]
        candidates = exact if len(exact) == 1 else found
        if not candidates and (folder := self._linked_folder(place)):
            reason = f"{folder.path}: {folder.fault}"
            return replace(clip, status="forbidden_video", reason=reason)
        if not candidates:
            where = "/".join(place_name for place_name in self._folders(clip) if place_name)
            reason = f"no file of that name in {where}"
            return replace(clip, status="missing_video", reason=reason)
        if len(candidates) > 1:
            self.contested.update(file.path for file in candidates)
            reason = f"several files fit: {_listing(file.path for file in candidates)}"
            return replace(clip, status="ambiguous_video", reason=reason)
        (file,) = candidates
        if file.fault:
            self.refused.add(file.path)
            return replace(clip, status="forbidden_video", reason=f"{file.path}: {file.fault}")
        return replace(clip, filename=file.filename, video=file)

    def _linked_folder(self, place: tuple[str, ...]) -> VideoFile | None:
        """Return the link that stands in the place of a clip's folder, if there is one."""
        emotion_alone = place if self.flat else (place[0], "")
        for folder in (place, emotion_alone):
            for file in self.by_key.get((*folder, ""), ()):
                return file
        return None

    def _folders(self, clip: PlannedClip) -> tuple[str, str]:
        return clip.emotion, "" if self.flat else clip.subject or ""

    def _stray(self, file: VideoFile, spellings: Mapping[str, str]) -> PlannedClip:
        subject = file.subject
        housed = subject is not None and subject_fault(subject) is None
        emotion = self.emotions.get(emotion_key(file.emotion or ""), file.emotion or "")
        reason = f"{file.path}: no metadata row names this file"
        if file.path in self.contested:
            reason += " and no other"
        return PlannedClip(
            clip_id="",
            subject=spellings[key(subject)] if subject is not None and housed else None,
            emotion=emotion,
            filename=file.filename,
            status="stray_video",
            reason=f"{reason}; {file.fault}" if file.fault else reason,
            row=None,
            video=None if file.fault else file,
        )


def subject_fault(subject: str) -> str | None:
    """Say why a subject's name cannot become the name of files, or None if it can.

    >>> subject_fault("Subject 01") is None
    True
    >>> subject_fault("Kind:1")
    'only letters, digits, spaces and _ . + - are allowed'
    """
    if why := fault(subject):
        return why
    if subject.strip().startswith("_"):
        return "it begins with '_', and readers of a folder of tables leave such files out"
    if len(tidy(subject).encode()) > 120:
        return "it is longer than 120 bytes"
    if path_component(subject) != tidy(subject):
        return "only letters, digits, spaces and _ . + - are allowed"
    return None


def _spelled_alike(file: VideoFile, row: MetadataRow) -> bool:
    return (
        file.filename == row.filename.strip()
        and file.subject in (None, row.subject.strip())
        and file.emotion == row.emotion.strip()
    )


def _mark_repeats(clips: list[PlannedClip]) -> list[PlannedClip]:
    """Keep one row of each clip that the metadata names more than once."""
    groups: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for position, clip in enumerate(clips):
        if clip.subject is not None and clip.status in ("ok", "missing_video"):
            name = clip.video.path if clip.video else key(clip.filename)
            groups[clip.subject, clip.emotion, name].append(position)
    marked = list(clips)
    for positions in groups.values():
        if len(positions) == 1:
            continue
        first, *others = sorted(positions, key=lambda i: _order(clips[i]))
        stated = {_apex_cell(clips[i]) for i in positions}
        for i in others:
            marked[i] = replace(
                clips[i],
                status="duplicate",
                reason="another metadata row names the same clip",
                video=None,
            )
        if len(stated) > 1 and clips[first].status == "ok":
            marked[first] = replace(
                clips[first],
                status="conflicting_apex",
                reason=f"metadata rows of this clip state different apex frames: "
                f"{_listing(sorted(stated))}; none is used",
            )
    return marked


def _mark_shared_files(clips: list[PlannedClip]) -> list[PlannedClip]:
    """In the flat layout, refuse a file that rows of several subjects claim."""
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for clip in clips:
        if clip.video and clip.subject:
            owners[clip.video.path].add(clip.subject)
    return [
        replace(
            clip,
            status="ambiguous_video",
            reason=f"{clip.video.path} is claimed by {_listing(sorted(owners[clip.video.path]))}",
            video=None,
        )
        if clip.video and len(owners[clip.video.path]) > 1
        else clip
        for clip in clips
    ]


def _apex_cell(clip: PlannedClip) -> str:
    cell = clip.row.apex_frame if clip.row else ""
    try:
        apex = parse_apex(cell)
    except ValueError:
        return cell.strip()
    return "blank" if apex is None else str(apex)


def _order(clip: PlannedClip) -> tuple[object, ...]:
    row = clip.row
    return (
        clip.emotion,
        key(clip.filename),
        clip.filename,
        row is None,
        clip.status == "duplicate",
        (row.subject, row.filename, row.emotion, row.apex_frame, row.number) if row else (),
        clip.reason,
    )


def _number_clips(subject: str, clips: Iterable[PlannedClip]) -> tuple[PlannedClip, ...]:
    """Give every clip of a subject its identifier; equal names are told apart as `~2`, `~3`."""
    seen: Counter[str] = Counter()
    numbered = []
    for clip in sorted(clips, key=_order):
        base = "/".join(
            (subject, path_component(clip.emotion), path_component(stem(clip.filename)))
        )
        seen[base.casefold()] += 1
        count = seen[base.casefold()]
        numbered.append(replace(clip, clip_id=base if count == 1 else f"{base}~{count}"))
    return tuple(numbered)


def _select(wanted: Sequence[str] | None, subjects: Mapping[str, object]) -> tuple[str, ...]:
    if wanted is None:
        return tuple(subjects)
    known = {key(subject): subject for subject in subjects}
    unknown = [subject for subject in wanted if key(subject) not in known]
    if unknown:
        raise PlanError(
            "config key `subjects`",
            expected=f"some of {_listing(subjects)}",
            found=f"also {_listing(unknown)}",
            remedy="correct the name, or leave `subjects` out to take all",
        )
    return tuple(sorted({known[key(subject)] for subject in wanted}))


def _listing(names: Iterable[str]) -> str:
    shown = [f"`{name}`" for name in names]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
