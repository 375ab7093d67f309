"""Recognise expressions from the flow between onset and apex, one subject left out at a time.

    python examples/baseline.py [RESULTS [METHOD]]

Prints UF1 and UAR as the MEGC 2019 challenge defines them (See et al. 2019), and what they are by
chance: with the labels dealt out anew among the clips. It needs the stage `motion`: `make baseline`
does both on the demo, and on your own data it is made by

    snakemake --cores 2 --configfile my.yaml --config 'motion={methods: [dis]}'

A baseline, not a good method.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.svm import LinearSVC

CELLS, DIRECTIONS = 7, 8
PERMUTATIONS = 200


def load(results: Path, method: str = "dis") -> tuple[np.ndarray, pd.DataFrame]:
    """Return the clips' flow, (clips, height, width, 2), and their rows of the split."""
    split = pd.read_parquet(results / "splits" / "loso_3class.parquet").set_index("clip_id")
    motion = pd.read_parquet(results / "motion" / method).dropna(subset=["flow"])
    motion = motion[motion["clip_id"].isin(split.index)]
    flow = [
        np.reshape(flow, shape) for flow, shape in zip(motion["flow"], motion["shape"], strict=True)
    ]
    return np.stack(flow).astype(np.float32), split.loc[motion["clip_id"]]


def histograms(flow: np.ndarray) -> np.ndarray:
    """Return where the skin moves in which direction, for each flow a row of length 1.

    A histogram of directions for each cell of a grid, weighted by the flow's length, on the
    ellipse of the default template that holds the face.
    """
    n, height, width, _ = flow.shape
    y, x = np.mgrid[:height, :width] / [[[height]], [[width]]]
    face = np.hypot((x - 0.5) / 0.38, (y - 0.53) / 0.45) < 1
    cell = (y * CELLS).astype(int) * CELLS + (x * CELLS).astype(int)
    turn = np.arctan2(flow[..., 1], flow[..., 0]) / (2 * np.pi) % 1
    length = np.hypot(flow[..., 0], flow[..., 1]) * face
    bins = cell * DIRECTIONS + np.minimum(turn * DIRECTIONS, DIRECTIONS - 1).astype(int)
    counts = CELLS * CELLS * DIRECTIONS
    rows = [np.bincount(bins[k].ravel(), length[k].ravel(), counts) for k in range(n)]
    return np.stack([row / max(np.linalg.norm(row), 1e-9) for row in rows])


def predict(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return for each clip what a model says that was trained on all other folds."""
    found = np.empty_like(labels)
    for fold in np.unique(folds):
        test = folds == fold
        if len(np.unique(labels[~test])) < 2:  # One class, or none, is all there is to learn.
            found[test] = labels[~test][0] if (~test).any() else "?"
            continue
        model = LinearSVC(C=100, class_weight="balanced", random_state=0)
        found[test] = model.fit(features[~test], labels[~test]).predict(features[test])
    return found


def uf1_uar(labels: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Return unweighted F1 and unweighted average recall, counts summed over all folds."""
    f1, recall = [], []
    for label in np.unique(labels):
        hits = np.sum((labels == label) & (found == label))
        misses = np.sum((labels == label) & (found != label))
        false_alarms = np.sum((labels != label) & (found == label))
        f1.append(2 * hits / (2 * hits + false_alarms + misses))
        recall.append(hits / (hits + misses))
    return float(np.mean(f1)), float(np.mean(recall))


def by_chance(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return UF1 and UAR, (permutations, 2), of labels that have nothing to do with the clips."""
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(PERMUTATIONS):
        shuffled = rng.permutation(labels)
        scores.append(uf1_uar(shuffled, predict(features, shuffled, folds)))
    return np.array(scores)


def main(results: Path, method: str = "dis") -> None:
    """Print the scores, and how often chance does as well."""
    flow, rows = load(results, method)
    features = histograms(flow)
    labels, folds = rows["label"].to_numpy(dtype=str), rows["fold"].to_numpy()
    scores = uf1_uar(labels, predict(features, labels, folds))
    chance = by_chance(features, labels, folds)
    print(f"{len(labels)} clips of {len(np.unique(folds))} subjects")
    for name, score, luck in zip(("UF1", "UAR"), scores, chance.T, strict=True):
        p = (1 + np.sum(luck >= score)) / (1 + len(luck))
        print(f"{name} {score:.3f}, by chance {np.mean(luck):.3f}, p = {p:.3f}")


if __name__ == "__main__":
    main(Path(*sys.argv[1:2] or ["results"]), *sys.argv[2:3])
