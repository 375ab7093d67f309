"""Match every metadata row with its video file: the ledger before any video is opened."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cmedplan.errors import PlanError
from cmedplan.metadata import MetadataRow, count_subjects, read_metadata
from cmedplan.names import emotion_key, fault, has_video_suffix, key, path_component, stem, tidy
from cmedplan.scan import SubjectFolders, VideoFile, choose_layout, scan_videos

PROCESSABLE = frozenset({"ok", "conflicting_apex"})
"""Planned statuses of clips whose video goes through the workflow, if it can be read."""

BLANK_APEX = frozenset({"", "nan", "na", "n/a", "null", "none"})
_WHOLE_NUMBER = re.compile(r"([+-]?\d{1,18})(?:\.0*)?")


class PlannedClip(NamedTuple):
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
            raise unknown_subject(subject, self.subjects)
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
    found = dict(plan_subjects(config))
    homeless = found.pop(None)
    subjects = {subject: found[subject] for subject in sorted(filter(None, found))}
    return Plan(subjects, homeless, select_subjects(config, subjects))


def plan_subjects(
    config: Mapping[str, Any],
) -> Iterator[tuple[str | None, tuple[PlannedClip, ...]]]:
    """Yield each subject with its clips, in no useful order; None, with the homeless ones, last.

    One subject is in memory at a time, and the metadata file: but for the flat layout, where
    every row may mean the same file. Errors are those of `make_plan`.
    """
    sources = _Sources(config)
    rows: defaultdict[str, list[MetadataRow]] = defaultdict(list)
    for row in sources.rows():
        rows[key(row.subject)].append(row)
    homeless: list[_Match] = []
    for own_rows, files in sources.groups(rows):
        by_subject: defaultdict[str, list[_Match]] = defaultdict(list)
        for match in sources.match(own_rows, files):
            (homeless if match.subject is None else by_subject[match.subject]).append(match)
        for subject, matches in by_subject.items():
            yield subject, _number_clips(subject, matches)
    # No subject can be called `~`, so these identifiers cannot meet a subject's.
    yield None, _number_clips("~", homeless)


def plan_subject(config: Mapping[str, Any], subject: str) -> tuple[PlannedClip, ...]:
    """Return the clips of one subject, as `make_plan` would, or none if there is no such subject.

    Only its own folders are scanned, and only its own rows are kept: but for the flat layout.
    """
    sources = _Sources(config)
    if sources.folders is None:
        return make_plan(config).subjects.get(subject, ())
    matches = sources.match(sources.rows(subject), sources.files(key(subject)))
    return _number_clips(subject, (match for match in matches if match.subject == subject))


def list_subjects(config: Mapping[str, Any]) -> list[str]:
    """Return the names of all subjects, sorted, as `make_plan` would, at little cost.

    Videos are looked at only where they decide whether there is a subject, or how to spell it.
    """
    return _Sources(config).subjects()


def select_subjects(config: Mapping[str, Any], subjects: Collection[str]) -> tuple[str, ...]:
    """Return the subjects that the config asks for with `subjects` and `batch`, sorted.

    Batch ``k/n`` is every n-th of those that `subjects` names, beginning with the k-th; where
    there are fewer than k, it is empty.

    Raises
    ------
    PlanError
        One of them does not exist, or the batch is none of its batches.
    """
    chosen = _named_subjects(config["subjects"], subjects)
    if config["batch"] is None:
        return chosen
    number, batches = map(int, config["batch"].split("/"))
    if number > batches:
        raise PlanError(
            "config key `batch`",
            expected=f"one of 1/{batches} to {batches}/{batches}",
            found=config["batch"],
        )
    return chosen[number - 1 :: batches]


def _named_subjects(wanted: Sequence[str] | None, subjects: Collection[str]) -> tuple[str, ...]:
    if wanted is None:
        return tuple(sorted(subjects))
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


def unknown_subject(subject: str, subjects: Iterable[str]) -> PlanError:
    """Return the error that a data set has no such subject."""
    return PlanError(
        f"subject `{subject}`",
        expected=f"one of {_listing(subjects)}",
        found="no metadata row and no folder of that name",
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


def digest_clips(clips: Iterable[PlannedClip], *, files: bool, times: bool = True) -> str:
    """Return a digest that changes with the clips' rows or, with `files`, their files.

    With `files` it covers which file is to be opened for each clip, to what end, its size
    and, with `times`, when it was last changed; without, what the metadata says and how it was
    matched. A row's number does not count: reordering the metadata file changes no subject.
    """
    facts: list[tuple[object, ...]] = []
    changing: list[int | None] = []
    for clip in clips:
        video, row = clip.video, clip.row
        if files:
            file = (video.path, video.size) if video else ()
            facts.append((clip.clip_id, clip.status in PROCESSABLE, *file))
            changing.append(video.ctime_ns if video and times else None)
        else:
            cells = (row.subject, row.filename, row.emotion, row.apex_frame) if row else ()
            facts.append((clip.clip_id, clip.status, clip.reason, *cells))
    return _digest((facts, changing))


def digest_numbers(clips: Iterable[PlannedClip]) -> str:
    """Return a digest that changes when the clips' rows stand elsewhere in the metadata file."""
    return _digest([clip.row.number if clip.row else None for clip in clips])


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class _Sources:
    """The metadata file and the folders of a data set, and what belongs together in them."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        dataset = config["dataset"]
        self.root = Path(dataset["root"])
        self.layout, self.folder = choose_layout(self.root, dataset["layout"])
        self.metadata = (self.root / dataset["metadata"], dataset["columns"])
        self.emotions = {
            emotion_key(emotion): emotion for emotion in config["labels"]["three_class"]
        }
        flat = self.layout == "flat"
        self.folders = None if flat else SubjectFolders(self.root, self.folder)

    def rows(self, subject: str | None = None) -> list[MetadataRow]:
        return read_metadata(*self.metadata, subject)

    def files(self, subject: str) -> list[VideoFile]:
        """List the files that rows of a subject, given by its key, may mean."""
        assert self.folders is not None
        return self.folders.scan(subject) + self.folders.links

    def groups(
        self, rows: dict[str, list[MetadataRow]]
    ) -> Iterator[tuple[list[MetadataRow], list[VideoFile]]]:
        """Yield rows, given by subject, and files that decide what becomes of each other."""
        if self.folders is None:
            together = [row for some in rows.values() for row in some]
            yield together, scan_videos(self.root, self.layout, self.folder)
            return
        for subject in sorted(rows.keys() | self.folders.keys()):
            yield rows.pop(subject, []), self.files(subject)
        yield [], self.folders.strays

    def match(self, rows: Sequence[MetadataRow], files: Sequence[VideoFile]) -> list["_Match"]:
        return _Matcher(files, self.layout == "flat", self.emotions).match(rows)

    def subjects(self) -> list[str]:
        in_rows: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for name, count in count_subjects(*self.metadata).items():
            in_rows[key(name)][name] = count
        folders = self.folders
        found = set()
        for subject in in_rows.keys() | (folders.keys() if folders else ()):
            names = in_rows[subject]
            housed = any(subject_fault(name) is None for name in names)
            spelling = _spell(names)
            if folders and (not housed or {tidy(n) for n in folders.names(subject)} - {spelling}):
                files = folders.scan(subject)
                in_folders = Counter(file.subject for file in files if file.subject)
                spelling = _spell(in_folders) or spelling
                housed |= any(
                    has_video_suffix(file.filename) and subject_fault(file.subject or "") is None
                    for file in files
                )
            if housed and spelling:
                found.add(spelling)
        return sorted(found)


@dataclass(slots=True)
class _Match:
    """A clip on its way to be planned."""

    subject: str | None
    emotion: str
    filename: str
    status: str = "ok"
    reason: str = ""
    row: MetadataRow | None = None
    video: VideoFile | None = None

    def refuse(self, status: str, reason: str) -> "_Match":
        self.status, self.reason, self.video = status, reason, None
        return self


class _Matcher:
    """Looks up the one file that a metadata row means.

    Its files are those of the rows' one subject, or, in the flat layout, of all.
    """

    def __init__(self, files: Sequence[VideoFile], flat: bool, emotions: Mapping[str, str]) -> None:
        self.files = files
        self.flat = flat
        self.emotions = emotions
        self.refused: set[str] = set()
        self.contested: set[str] = set()
        self.by_name: defaultdict[tuple[str, str], list[VideoFile]] = defaultdict(list)
        self.by_stem: defaultdict[tuple[str, str], list[VideoFile]] = defaultdict(list)
        self.links: dict[str, VideoFile] = {}
        for file in files:
            if file.emotion is None:
                continue
            emotion = emotion_key(file.emotion)
            if not file.filename:
                self.links.setdefault(emotion, file)
                continue
            self.by_name[emotion, key(file.filename)].append(file)
            if has_video_suffix(file.filename):
                self.by_stem[emotion, key(stem(file.filename))].append(file)

    def match(self, rows: Sequence[MetadataRow]) -> list[_Match]:
        """Return one match for each row and for each video without a row."""
        spellings = self._spell_subjects(rows)
        matches = [self._match_row(row, spellings) for row in rows]
        _mark_repeats(matches)
        if self.flat:
            self.contested |= _mark_shared_files(matches)
        claimed = self.refused | {match.video.path for match in matches if match.video}
        strays = (file for file in self.files if file.path not in claimed)
        return matches + [
            self._stray(file, spellings) for file in strays if has_video_suffix(file.filename)
        ]

    def _spell_subjects(self, rows: Sequence[MetadataRow]) -> dict[str, str | None]:
        """Choose one spelling for each subject: its folder's, or else the rows' commonest.

        Return it for each way to write the subject; None where that is no name for files.
        """
        in_folders = Counter(file.subject for file in self.files if file.subject)
        in_rows = Counter(row.subject for row in rows)
        spellings: dict[str, str] = {}
        for counter in (in_folders, in_rows):
            for name in _ranked(counter):
                spellings.setdefault(key(name), tidy(name))
        return {
            name: spellings[key(name)] if subject_fault(name) is None else None
            for name in (*in_folders, *in_rows)
        }

    def _match_row(self, row: MetadataRow, spellings: Mapping[str, str | None]) -> _Match:
        subject = spellings[row.subject]
        emotion = self.emotions.get(emotion_key(row.emotion))
        match = _Match(subject, emotion or row.emotion.strip(), row.filename.strip(), row=row)
        if row.surplus:
            reason = "the row has more cells than the header has columns"
            return match.refuse("malformed_row", reason)
        if subject is None:
            reason = f"subject {row.subject!r}: {subject_fault(row.subject)}"
            return match.refuse("invalid_name", reason)
        if why := fault(row.filename):
            return match.refuse("invalid_name", f"filename {row.filename!r}: {why}")
        if emotion is None:
            known = ", ".join(self.emotions.values())
            reason = f"emotion {row.emotion!r} is none of `labels.three_class`: {known}"
            return match.refuse("unknown_emotion", reason)
        return self._find_file(match, row)

    def _find_file(self, match: _Match, row: MetadataRow) -> _Match:
        emotion = emotion_key(match.emotion)
        found = self.by_name.get((emotion, key(row.filename)), ())
        if not found and not has_video_suffix(row.filename):
            found = self.by_stem.get((emotion, key(row.filename)), ())
        exact = [file for file in found if _spelled_alike(file, row)]
        exact = exact or [file for file in found if file.filename == row.filename.strip()]
        candidates = exact if len(exact) == 1 else found
        if not candidates and (folder := self.links.get(emotion)):
            return match.refuse("forbidden_video", f"{folder.path}: {folder.fault}")
        if not candidates:
            where = match.emotion if self.flat else f"{match.emotion}/{match.subject}"
            return match.refuse("missing_video", f"no file of that name in {where}")
        if len(candidates) > 1:
            self.contested.update(file.path for file in candidates)
            reason = f"several files fit: {_listing(file.path for file in candidates)}"
            return match.refuse("ambiguous_video", reason)
        (file,) = candidates
        if file.fault:
            self.refused.add(file.path)
            return match.refuse("forbidden_video", f"{file.path}: {file.fault}")
        match.filename, match.video = file.filename, file
        return match

    def _stray(self, file: VideoFile, spellings: Mapping[str, str | None]) -> _Match:
        reason = f"{file.path}: no usable metadata row names this file"
        if file.path in self.contested:
            reason += " and no other"
        return _Match(
            subject=spellings[file.subject] if file.subject is not None else None,
            emotion=self.emotions.get(emotion_key(file.emotion or ""), file.emotion or ""),
            filename=file.filename,
            status="stray_video",
            reason=f"{reason}; {file.fault}" if file.fault else reason,
            video=None if file.fault else file,
        )


def _ranked(names: Counter[str]) -> list[str]:
    """Return names, the commonest first."""
    return sorted(names, key=lambda name: (-names[name], name))


def _spell(names: Counter[str]) -> str:
    """Return the spelling of a subject that is written in these ways, or nothing without any."""
    return tidy(_ranked(names)[0]) if names else ""


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
    if key(subject) == "index":
        return "its page would be that of the data set, `reports/index.html`"
    if path_component(subject) != tidy(subject):
        return "only letters, digits, spaces and _ . + - are allowed"
    return None


def _spelled_alike(file: VideoFile, row: MetadataRow) -> bool:
    return (
        file.filename == row.filename.strip()
        and file.subject in (None, row.subject.strip())
        and file.emotion == row.emotion.strip()
    )


def _mark_repeats(matches: Sequence[_Match]) -> None:
    """Keep one row of each clip that the metadata names more than once."""
    groups: defaultdict[tuple[str, ...], list[_Match]] = defaultdict(list)
    for match in matches:
        if match.subject is not None and match.status in ("ok", "missing_video"):
            name = match.video.path if match.video else key(match.filename)
            groups[match.subject, match.emotion, name].append(match)
    for alike in groups.values():
        if len(alike) == 1:
            continue
        first, *others = sorted(alike, key=_order)
        stated = {_apex_cell(match) for match in alike}
        for match in others:
            match.refuse("duplicate", "another metadata row names the same clip")
        if len(stated) > 1 and first.status == "ok":
            first.status = "conflicting_apex"
            first.reason = (
                f"metadata rows of this clip state different apex frames: "
                f"{_listing(sorted(stated))}; none is used"
            )


def _mark_shared_files(matches: Sequence[_Match]) -> set[str]:
    """In the flat layout, refuse files that rows of several subjects claim, and return them."""
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for match in matches:
        if match.video and match.subject:
            owners[match.video.path].add(match.subject)
    shared = {path for path, subjects in owners.items() if len(subjects) > 1}
    for match in matches:
        if match.video and match.video.path in shared:
            path = match.video.path
            match.refuse(
                "ambiguous_video", f"{path} is claimed by {_listing(sorted(owners[path]))}"
            )
    return shared


def _apex_cell(match: _Match) -> str:
    cell = match.row.apex_frame if match.row else ""
    try:
        apex = parse_apex(cell)
    except ValueError:
        return cell.strip()
    return "blank" if apex is None else str(apex)


def _order(match: _Match) -> tuple[object, ...]:
    row = match.row
    return (
        match.emotion,
        key(match.filename),
        match.filename,
        row is None,
        match.status == "duplicate",
        (row.subject, row.filename, row.emotion, row.apex_frame, row.number) if row else (),
        match.reason,
    )


def _number_clips(subject: str, matches: Iterable[_Match]) -> tuple[PlannedClip, ...]:
    """Give every clip of a subject its identifier; equal names are told apart as `~2`, `~3`."""
    seen: Counter[str] = Counter()
    numbered = []
    for match in sorted(matches, key=_order):
        base = f"{subject}/{path_component(match.emotion)}/{path_component(stem(match.filename))}"
        seen[base.casefold()] += 1
        count = seen[base.casefold()]
        numbered.append(
            PlannedClip(
                base if count == 1 else f"{base}~{count}",
                match.subject,
                match.emotion,
                match.filename,
                match.status,
                match.reason,
                match.row,
                match.video,
            )
        )
    return tuple(numbered)


def _listing(names: Iterable[str]) -> str:
    shown = [f"`{name}`" for name in names]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
