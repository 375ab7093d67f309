"""Splits for evaluation: which clips are tested in which fold, no subject on both sides.

A split is a table. Each row says in which fold a clip is tested; in every other fold it is
trained on. As a fold takes or leaves a subject as a whole, what a model learns of a face in
training never helps it in the test.
"""

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from cmedprep.tables import CLIP_KEY_NAMES

PROTOCOLS = ("loso", "kfold", "repeated")
LABEL_SETS = ("emotion", "emotion_with_none", "3class", "3class_with_none")

Row = dict[str, Any]


def make_split(
    rows: Sequence[Mapping[str, Any]],
    protocol: str,
    labels: str,
    folds: int,
    seeds: Sequence[int],
    without_expression: str | None,
) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows of `schemas.SPLITS` of one protocol and label set, and facts about them.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of `schemas.MANIFESTS` in any order. Those that have another status than ``ok``,
        or no label, are left out.
    protocol : str
        ``loso`` leaves one subject out in each fold; folds count the subjects in their sorted
        order. ``kfold`` is scikit-learn's StratifiedGroupKFold: whole subjects, and the classes
        in nearly the same shares in every fold. ``repeated`` is the same by our own dealing out,
        which gives another split for each seed.
    labels : str
        One of `LABEL_SETS`; see `label_of`.
    folds : int
        How many folds ``kfold`` and ``repeated`` make; with fewer subjects, one for each.
    seeds : sequence of int
        ``kfold`` takes the first, ``repeated`` makes a split for each, ``loso`` needs none.
    without_expression : str, optional
        The emotion of clips without expression.

    Returns
    -------
    rows : list of dict
        One for each clip and seed, sorted by seed and `clip_id`; `seed` is None for ``loso``.
    facts : dict
        How many clips, subjects and folds there are, and for each fold the classes that it
        lacks in training or test: a model cannot learn the former, and a score of the fold by
        itself is not defined for the latter.

    Raises
    ------
    ValueError
        If there is no such protocol or label set.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is {protocol!r}, expected one of {', '.join(PROTOCOLS)}")
    labelled = [
        {name: row[name] for name in CLIP_KEY_NAMES} | {"label": label}
        for row in sorted(rows, key=lambda row: str(row["clip_id"]))
        if row["status"] == "ok" and (label := label_of(row, labels, without_expression))
    ]
    subjects = np.array([row["subject"] for row in labelled], dtype=str)
    classes = np.array([row["label"] for row in labelled], dtype=str)
    split: list[Row] = []
    divisions = []
    drawn: dict[str, list[int | None]] = {
        "loso": [None],
        "kfold": [seeds[0]],
        "repeated": [*sorted(set(seeds))],
    }
    for seed in drawn[protocol]:
        fold_of = _ASSIGN[protocol](subjects, classes, folds, seed)
        split += [
            row | {"fold": fold, "seed": seed}
            for row, fold in zip(labelled, fold_of.tolist(), strict=True)
        ]
        divisions.append({"seed": seed, "folds": list(_describe(fold_of, subjects, classes))})
    made = {row["fold"] for row in split}
    facts = {
        "protocol": protocol,
        "labels": labels,
        "n_clips": len(labelled),
        "n_subjects": len(set(subjects)),
        "folds_requested": None if protocol == "loso" else folds,
        "folds_made": len(made),
        "clips_per_class": dict(sorted(Counter(classes.tolist()).items())),
        "subjects_per_class": {
            str(label): len(set(subjects[classes == label])) for label in np.unique(classes)
        },
        "divisions": divisions,
    }
    return split, facts


def label_of(row: Mapping[str, Any], labels: str, without_expression: str | None) -> str | None:
    """Return a clip's label in a label set, None where it has none there.

    ``emotion`` has the expressions; ``3class`` the classes of the config's
    `labels.three_class`. ``emotion_with_none`` and ``3class_with_none`` add the clips without
    expression, under the name of their emotion.

    Raises
    ------
    ValueError
        If there is no such label set.
    """
    if labels not in LABEL_SETS:
        raise ValueError(f"labels is {labels!r}, expected one of {', '.join(LABEL_SETS)}")
    emotion: str = row["emotion"]
    three_class: str | None = row["emotion_3class"]
    none = emotion if emotion == without_expression and labels.endswith("_with_none") else None
    if labels.startswith("3class"):
        return three_class or none
    return none if emotion == without_expression else emotion


def leave_one_out(
    subjects: np.ndarray, classes: np.ndarray, folds: int, seed: int | None
) -> np.ndarray:
    """Return the fold, (n,) from 0, in which each clip is tested: one for each subject.

    Of the parameters, those of `deal_out`, only `subjects` counts.
    """
    return np.unique(subjects, return_inverse=True)[1]


def stratify(subjects: np.ndarray, classes: np.ndarray, folds: int, seed: int | None) -> np.ndarray:
    """Return the fold, (n,) from 0, in which each clip is tested, by scikit-learn.

    Parameters are those of `deal_out`. Where no class has as many clips as there are folds,
    there is nothing to stratify by, and subjects are only grouped.
    """
    n = min(folds, len(np.unique(subjects)))
    if n < 2:  # Nothing to deal out.
        return np.zeros(len(subjects), dtype=int)
    _, kind, counts = np.unique(classes, return_inverse=True, return_counts=True)
    splitter = StratifiedGroupKFold if counts.max() >= n else GroupKFold
    with warnings.catch_warnings():
        # Of classes too small for all folds; the facts name them fold by fold.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        divided = splitter(n, shuffle=True, random_state=seed).split(kind, kind, subjects)
        tests = [test for _, test in divided if len(test)]
    fold_of = np.empty(len(subjects), dtype=int)
    for fold, test in enumerate(tests):
        fold_of[test] = fold
    return fold_of


def deal_out(subjects: np.ndarray, classes: np.ndarray, folds: int, seed: int | None) -> np.ndarray:
    """Return the fold, (n,) from 0, in which each clip is tested.

    Subjects with many clips, or with many of a rare class, are dealt out first, each to the
    fold that so far has the least of its classes. With s the subject's share of all clips of
    each class and a the fold's, that is the fold with the smallest ``a . s``: the choice that
    keeps the sum of squares of all folds' shares, and so their spread, smallest.

    The order is that of ``|s| (1 + u)`` with u in [0, 1) drawn by the seed. scikit-learn's
    StratifiedGroupKFold goes by the standard deviation of a subject's numbers of clips per class,
    its seed decides between equals only, and among children with some hundred clips each there
    are none: every seed would give the same split.

    Parameters
    ----------
    subjects, classes : ndarray of str, shape (n,)
        Of each clip.
    folds : int
        The number of folds; with fewer subjects, one for each.
    seed : int
        Of the order.
    """
    names, subject = np.unique(subjects, return_inverse=True)
    kinds, kind = np.unique(classes, return_inverse=True)
    clips = np.zeros((len(names), len(kinds)))
    np.add.at(clips, (subject, kind), 1)
    shares = clips / clips.sum(axis=0)
    size = np.sqrt(np.square(shares).sum(axis=1))
    luck = np.array([_draw(seed, name) for name in names.tolist()])
    n = min(folds, len(names))
    held, n_held = np.zeros((n, len(kinds))), np.zeros(n)
    fold_of = np.empty(len(names), dtype=int)
    for one in np.argsort(-size * (1 + luck), kind="stable"):
        overlap = (held * shares[one]).sum(axis=1)
        fold = np.lexsort([n_held, overlap])[0]  # of equals the one with fewer clips
        held[fold] += shares[one]
        n_held[fold] += clips[one].sum()
        fold_of[one] = fold
    return fold_of[subject]


def _draw(seed: int | None, name: str) -> float:
    """Draw a number in [0, 1) for a name; the same on every machine, and for whatever others."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


_ASSIGN = {"loso": leave_one_out, "kfold": stratify, "repeated": deal_out}


def _describe(
    fold_of: np.ndarray, subjects: np.ndarray, classes: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Say of each fold what it tests and trains on, and which classes either side lacks."""
    for fold in np.unique(fold_of).tolist():
        test = fold_of == fold
        yield {
            "fold": fold,
            "test_subjects": sorted(set(subjects[test].tolist())),
            "n_test": int(test.sum()),
            "n_train": int((~test).sum()),
            "not_in_test": _missing(classes, test),
            "not_in_training": _missing(classes, ~test),
        }


def _missing(classes: np.ndarray, side: np.ndarray) -> list[str]:
    """Return the classes that none of one side's clips has."""
    missing: list[str] = np.setdiff1d(classes, classes[side]).tolist()
    return missing
