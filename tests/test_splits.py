"""Splits keep subjects apart, test every clip once, and say what they could not do."""

import random
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from cmedprep.splits import LABEL_SETS, PROTOCOLS, deal_out, label_of, make_split

NONE = "No_Emotion"
THREE_CLASS = {"Happy": "positive", "Surprise": "surprise", "Sad": "negative", "Fear": "negative"}
EMOTIONS = (*THREE_CLASS, "Bored", NONE)  # Bored has no class

Row = dict[str, Any]


def clip(subject: str, emotion: str, number: int, status: str = "ok") -> Row:
    """Make a row of a manifest."""
    return {
        "clip_id": f"{subject}/{emotion}/vid{number}",
        "subject": subject,
        "emotion": emotion,
        "filename": f"vid{number}.mp4",
        "emotion_3class": THREE_CLASS.get(emotion),
        "status": status,
    }


def data_set(subjects: int, clips: int, seed: int = 0) -> list[Row]:
    """Make as unbalanced a data set as the real one: most clips happy or without expression."""
    rng = np.random.default_rng(seed)
    shares = {NONE: 0.48, "Happy": 0.4, "Surprise": 0.06, "Sad": 0.03, "Fear": 0.03}
    return [
        clip(f"Subject_{subject:02d}", emotion, number)
        for subject in range(subjects)
        for number, emotion in enumerate(
            rng.choice(list(shares), rng.integers(1, 2 * clips), p=list(shares.values())).tolist()
        )
    ]


def split(
    rows: list[Row], protocol: str = "repeated", labels: str = "emotion", **options: Any
) -> Any:
    """Split with the defaults of the config."""
    given = {"folds": 5, "seeds": [0], "without_expression": NONE} | options
    return make_split(rows, protocol, labels, **given)


any_rows = st.lists(
    st.builds(
        clip,
        st.sampled_from([f"S{n}" for n in range(7)]),
        st.sampled_from(EMOTIONS),
        st.integers(0, 9),
        st.sampled_from(["ok", "ok", "ok", "no_face"]),
    ),
    max_size=60,
    unique_by=lambda row: row["clip_id"],
)


@given(
    rows=any_rows,
    protocol=st.sampled_from(PROTOCOLS),
    labels=st.sampled_from(LABEL_SETS),
    folds=st.integers(2, 9),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_no_data_set_breaks_a_split(
    rows: list[Row], protocol: str, labels: str, folds: int, seeds: list[int]
) -> None:
    """Whatever the data: subjects stay whole, each clip is tested once, nothing is lost."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made, facts = split(rows, protocol, labels, folds=folds, seeds=seeds)

    usable = {
        row["clip_id"]: label
        for row in rows
        if row["status"] == "ok" and (label := label_of(row, labels, NONE))
    }
    subjects = {clip_id.split("/")[0] for clip_id in usable}
    expected = {"loso": {None}, "kfold": {seeds[0]}, "repeated": set(seeds)}[protocol]
    assert {row["seed"] for row in made} == (expected if usable else set())
    for seed in {row["seed"] for row in made}:
        division = [row for row in made if row["seed"] == seed]
        assert [row["clip_id"] for row in division] == sorted(usable)
        assert all(row["label"] == usable[row["clip_id"]] for row in division)
        fold_of = {(row["subject"], row["fold"]) for row in division}
        assert len(fold_of) == len(subjects), "a subject stands on both sides"
        used = {row["fold"] for row in division}
        assert used == set(range(len(used)))
        wanted = len(subjects) if protocol == "loso" else min(folds, len(subjects))
        # scikit-learn may leave a fold empty where there are few subjects.
        assert len(used) == wanted or (protocol == "kfold" and 2 <= len(used) < wanted)
        assert facts["folds_made"] == len(used)
    assert facts["n_clips"] == len(usable)
    assert facts["n_subjects"] == len(subjects)
    assert sum(facts["clips_per_class"].values()) == len(usable)

    for division in facts["divisions"]:
        of_seed = [row for row in made if row["seed"] == division["seed"]]
        for fold in division["folds"]:
            test = [row["label"] for row in of_seed if row["fold"] == fold["fold"]]
            training = [row["label"] for row in of_seed if row["fold"] != fold["fold"]]
            assert (fold["n_test"], fold["n_train"]) == (len(test), len(training))
            assert set(fold["not_in_test"]) == set(usable.values()) - set(test)
            assert set(fold["not_in_training"]) == set(usable.values()) - set(training)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("labels", LABEL_SETS)
def test_the_order_of_rows_does_not_matter(protocol: str, labels: str) -> None:
    rows = data_set(subjects=13, clips=8)
    first = split(rows, protocol, labels, seeds=[3, 1])
    random.Random(0).shuffle(rows)
    assert split(rows, protocol, labels, seeds=[3, 1, 3]) == first


def test_folds_of_leave_one_subject_out_follow_the_sorted_subjects() -> None:
    rows = [clip(name, "Happy", 1) for name in ("Subject_10", "Subject_2", "Subject_1")]
    made, facts = split(rows, "loso")
    assert {row["subject"]: row["fold"] for row in made} == {
        "Subject_1": 0,
        "Subject_10": 1,
        "Subject_2": 2,
    }
    assert {row["seed"] for row in made} == {None}
    assert (facts["folds_requested"], facts["folds_made"]) == (None, 3)
    assert [fold["test_subjects"] for fold in facts["divisions"][0]["folds"]] == [
        ["Subject_1"],
        ["Subject_10"],
        ["Subject_2"],
    ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("emotion", ["Happy", "Surprise", "Sad", "Fear", "Bored", None]),
        ("emotion_with_none", ["Happy", "Surprise", "Sad", "Fear", "Bored", NONE]),
        ("3class", ["positive", "surprise", "negative", "negative", None, None]),
        ("3class_with_none", ["positive", "surprise", "negative", "negative", None, NONE]),
    ],
)
def test_labels_are_those_of_the_label_set(labels: str, expected: list[str | None]) -> None:
    found = [label_of(clip("S", emotion, 1), labels, NONE) for emotion in EMOTIONS]
    assert found == expected


def test_a_class_that_the_config_gives_to_clips_without_expression_is_their_label() -> None:
    row = clip("S", NONE, 1) | {"emotion_3class": "neutral"}
    assert [label_of(row, labels, NONE) for labels in LABEL_SETS] == [
        None,
        NONE,
        "neutral",
        "neutral",
    ]


def test_without_such_an_emotion_every_clip_has_an_expression() -> None:
    rows = [label_of(clip("S", NONE, 1), labels, None) for labels in LABEL_SETS]
    assert rows == [NONE, NONE, None, None]


def like_the_real_one(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return subjects and emotions of as many and as unbalanced clips as holders report.

    Some children have many times the clips of others, and rare emotions come from a few.
    """
    rng = np.random.default_rng(seed)
    activity = rng.lognormal(0.0, 1.0, 74)
    counts = {NONE: 5297, "Happy": 4806, "Surprise": 350, "Anger": 113, "Sad": 41, "Fear": 19}
    subjects = []
    for count in counts.values():
        weight = activity * rng.lognormal(0.0, 0.2 if count > 1000 else 1.0, 74)
        subjects += rng.choice(74, count, p=weight / weight.sum()).tolist()
    return np.array([f"S{n:02d}" for n in subjects]), np.repeat([*counts], [*counts.values()])


def imbalance(classes: np.ndarray, fold_of: np.ndarray) -> float:
    """Return the standard deviation of the folds' shares of a class, mean over classes."""
    return float(
        np.mean(
            [
                np.std(np.bincount(fold_of[classes == label], minlength=5) / sum(classes == label))
                for label in np.unique(classes)
            ]
        )
    )


@pytest.mark.parametrize("seed", range(3))
def test_classes_are_spread_more_evenly_than_by_chance_and_than_by_scikit_learn(seed: int) -> None:
    subjects, classes = like_the_real_one(seed)
    made = np.array(
        [imbalance(classes, deal_out(subjects, classes, 5, split)) for split in range(10)]
    )

    names, subject = np.unique(subjects, return_inverse=True)
    rng = np.random.default_rng(seed)
    chance = [imbalance(classes, (rng.permutation(len(names)) % 5)[subject]) for _ in range(100)]
    assert made.max() < min(chance)

    peer = np.empty(len(subjects), dtype=int)
    for fold, (_, test) in enumerate(StratifiedGroupKFold(5).split(classes, classes, subject)):
        peer[test] = fold
    assert np.median(made) < imbalance(classes, peer)


def test_another_seed_brings_other_subjects_together() -> None:
    """Two subjects of one fold meet in another seed's split about as often as by chance, 1/5."""
    subjects, classes = like_the_real_one(0)
    _, first = np.unique(subjects, return_index=True)
    folds = np.stack([deal_out(subjects, classes, 5, seed)[first] for seed in range(10)])
    together = (folds[:, :, None] == folds[:, None, :]) & ~np.eye(len(first), dtype=bool)
    again = [
        (together[a] & together[b]).sum() / together[a].sum() for a in range(10) for b in range(a)
    ]
    assert 0.1 < np.mean(again) < 0.3
    assert max(again) < 0.4


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_the_plain_k_fold_is_that_of_scikit_learn() -> None:
    """Where a class has fewer clips than there are folds, too."""
    rows = [*data_set(subjects=20, clips=10), clip("Subject_03", "Bored", 99)]
    rows.sort(key=lambda row: str(row["clip_id"]))
    rows = [row for row in rows if label_of(row, "emotion", NONE)]
    made, facts = split(rows, "kfold", seeds=[7, 8])
    assert facts["clips_per_class"]["Bored"] == 1
    assert {row["seed"] for row in made} == {7}
    labels = np.unique([row["emotion"] for row in rows], return_inverse=True)[1]
    peer = StratifiedGroupKFold(5, shuffle=True, random_state=7)
    subjects = [row["subject"] for row in rows]
    for fold, (_, test) in enumerate(peer.split(labels, labels, subjects)):
        assert {made[clip]["fold"] for clip in test} == {fold}


def test_a_seed_does_not_depend_on_the_others() -> None:
    rows = data_set(subjects=20, clips=10)
    together, _ = split(rows, seeds=[9, 1, 2])
    assert together == sorted(together, key=lambda row: (row["seed"], row["clip_id"]))
    for seed in (9, 1, 2):
        alone, _ = split(rows, seeds=[seed])
        assert alone == [row for row in together if row["seed"] == seed]


def test_with_fewer_subjects_than_folds_each_subject_is_a_fold() -> None:
    rows = [clip(f"S{n}", emotion, 1) for n in range(3) for emotion in ("Happy", "Sad")]
    made, facts = split(rows, folds=5)
    assert {row["fold"] for row in made} == {0, 1, 2}
    assert (facts["folds_requested"], facts["folds_made"]) == (5, 3)


def test_a_class_of_one_subject_is_said_to_be_missing() -> None:
    rows = [clip(f"S{n}", "Happy", k) for n in range(6) for k in range(3)]
    rows.append(clip("S4", "Fear", 9))
    for protocol in PROTOCOLS:
        made, facts = split(rows, protocol, folds=3)
        where = next(row["fold"] for row in made if row["label"] == "Fear")
        for fold in facts["divisions"][0]["folds"]:
            here = fold["fold"] == where
            assert fold["not_in_training"] == (["Fear"] if here else [])
            assert fold["not_in_test"] == ([] if here else ["Fear"])
        assert facts["subjects_per_class"] == {"Fear": 1, "Happy": 6}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_single_subject_has_one_fold_with_nothing_to_train_on(protocol: str) -> None:
    made, facts = split([clip("S", "Happy", 1), clip("S", "Sad", 1)], protocol)
    assert [row["fold"] for row in made] == [0, 0]
    [fold] = facts["divisions"][0]["folds"]
    assert (fold["n_test"], fold["n_train"]) == (2, 0)
    assert fold["not_in_training"] == ["Happy", "Sad"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_clips_make_an_empty_table(protocol: str) -> None:
    made, facts = split([clip("S", "Happy", 1, status="no_face")], protocol)
    assert made == []
    assert (facts["n_clips"], facts["n_subjects"], facts["folds_made"]) == (0, 0, 0)


def test_an_unknown_protocol_or_label_set_is_named() -> None:
    with pytest.raises(ValueError, match="'lopo', expected one of loso, kfold"):
        split([clip("S", "Happy", 1)], "lopo")
    with pytest.raises(ValueError, match="'4class', expected one of emotion, "):
        split([clip("S", "Happy", 1)], labels="4class")
