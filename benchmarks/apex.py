"""Compare ways to spot the apex: on clips whose truth is known, and on real ones.

    python benchmarks/apex.py [--faces N] [--videos DIR] [--out DIR]

Clips are rendered, sent through H.264, and then through the workflow's own detection, alignment
and cropping. Prints the tables and writes them as `apex-benchmark.md` and a plot as `apex.png`.
Methods of peers are re-implemented from their papers, on our aligned faces.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

# One core, as the tables say: before NumPy is imported.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d
from skimage.feature import local_binary_pattern

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow" / "scripts")]

from cmedprep.alignment import ClipFaces, align_clip  # noqa: E402
from cmedprep.cascade import FaceFinder  # noqa: E402
from cmedprep.crops import crop_face, low_pass  # noqa: E402
from cmedprep.decoding import VideoError  # noqa: E402
from cmedprep.geometry import Template, apply, scale_of  # noqa: E402
from cmedprep.skin import LIPS  # noqa: E402
from cmedprep.spotting import Spotted, follow_points, spot_apex  # noqa: E402
from cmedprep.video import read_frames  # noqa: E402
from tests.makers import synthetic_face as maker  # noqa: E402
from tests.makers.make_videos import compress  # noqa: E402

TEMPLATE = Template()
WIDTH, HEIGHT = 400, 360
MOST_FRAMES = 100  # of a real clip
EMOTIONS = tuple(sorted(maker.PULLS))
AMPLITUDES = ((0.5, 1.0, 2.0), (0.7, 1.5, 3.0))  # px, the one or the other for a face
CLIPS = (
    *("pyfeat_single_face.mp4", "grid_bbaf2n.mpg", "grid_lbax4n.mpg"),
    *("grid_swiz3n_av1.mp4", "intel_sister.mkv"),
)
BROWS = (*(107, 55, 105, 52, 70, 46, 336, 285, 334, 282, 300, 276, 9),)


# --- clips ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Course(maker.Expression):
    """An expression whose time course is not the makers' raised cosine from end to end."""

    shape: str = "cosine"

    def time_course(self, n_frames: int) -> np.ndarray:
        """Give the strength in each frame, 1 at the apex."""
        t, apex = np.arange(n_frames), self.apex_frame
        if self.shape == "held":  # for a third of the clip
            hold = n_frames // 6
            way = np.minimum(t / (apex - hold), (n_frames - 1 - t) / (n_frames - 1 - apex - hold))
            return 0.5 - 0.5 * np.cos(np.pi * np.clip(way, 0, 1))
        if self.shape == "begun":  # four frames before the clip
            earlier = maker.Expression(self.emotion, self.amplitude_px, apex + 4)
            return earlier.time_course(n_frames + 4)[4:]
        if self.shape == "sharp":
            return super().time_course(n_frames) ** 2
        if self.shape == "not back":  # at the end of the clip, 60 % are left
            rise = 0.5 - 0.5 * np.cos(np.pi * np.clip(t / apex, 0, 1))
            return rise * (1 - 0.4 * np.clip((t - apex) / (n_frames - 1 - apex), 0, 1))
        if self.shape == "skewed":  # a gamma curve: quick up, slow down
            way = t / apex
            return (way * np.exp(1 - way)) ** 2
        if self.shape == "straight":
            return np.minimum(t / apex, (n_frames - 1 - t) / (n_frames - 1 - apex))
        return super().time_course(n_frames)


class Gazing(maker.Face):
    """A face whose blink is a movement of the eyes to the side, by an eighth of their width."""

    def blink_field(self, points: np.ndarray) -> np.ndarray:
        """Give the displacement (..., 2) px of the irises."""
        unit = self.inter_ocular_px
        aside = np.tile([0.05 * unit, 0.0], (2, 1))
        return maker._bumps(points, self.mesh[[468, 473], :2], aside, np.full(2, 0.16 * unit))


@dataclass(frozen=True)
class Kind:
    """What is difficult about a clip."""

    turn: float = 1.5
    shape: str = "cosine"
    crf: int = 18
    noise: float = 1.5
    shutter: float = 0.0
    frames: tuple[int, int] = (20, 41)
    apex: tuple[float, float] = (0.3, 0.7)
    depth: float = 1.0
    extra: str = ""


KINDS = {
    "plain": Kind(),
    "turn 3°": Kind(turn=3.0),
    "turn 5°": Kind(turn=5.0),
    "blink": Kind(extra="blink"),
    "gaze": Kind(extra="gaze"),
    "light change": Kind(extra="light"),
    "sensor noise": Kind(noise=6.0),
    "motion blur": Kind(shutter=0.8),
    "crf 28": Kind(crf=28),
    "crf 36": Kind(crf=36),
    "small face (60 px)": Kind(extra="small"),
    "deeper face (x 1.4)": Kind(turn=3.0, depth=1.4),
    "hand": Kind(extra="hand"),
    "held": Kind(shape="held", frames=(36, 41), apex=(0.4, 0.6)),
    "begun before": Kind(shape="begun"),
    "sharp": Kind(shape="sharp"),
    "skewed": Kind(shape="skewed", apex=(0.2, 0.35)),
    "straight": Kind(shape="straight"),
    "not back at the end": Kind(shape="not back"),
    "apex near an end": Kind(apex=(0.12, 0.15)),
    "10 frames": Kind(frames=(10, 11)),
    "100 frames": Kind(frames=(100, 101)),
    "a third of the frames repeated": Kind(extra="frozen"),
    "3 frames missing": Kind(extra="gap"),
}
WITHOUT = ("plain", "turn 3°", "turn 5°", "blink", "gaze", "light change", "sensor noise", "crf 28")
"""Kinds that are also rendered without any expression."""


@dataclass(frozen=True)
class Clip:
    """Aligned faces (n, 224, 224, 3), landmarks (n, 478, 3) on them, and the truth if known.

    `strength` (n,) is the expression's in each frame.
    """

    images: np.ndarray
    landmarks: np.ndarray
    strength: np.ndarray | None = None
    emotion: str | None = None

    @property
    def best(self) -> np.ndarray:
        """Positions of the frames that show most."""
        assert self.strength is not None
        return np.flatnonzero(self.strength >= self.strength.max() - 1e-9)


def align(
    frames: list[np.ndarray], finder: FaceFinder
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Do what the workflow does: images, landmarks on them, and which frames they are of."""
    landmarks = np.full((len(frames), 478, 3), np.nan)
    for index, frame in enumerate(frames):
        for face in finder.find(frame)[:1]:
            landmarks[index] = face.landmarks
    clip = ClipFaces(landmarks, lambda: iter(frames))
    matrix = align_clip(clip, TEMPLATE, "stabilised", max_gap=3).matrix
    written = np.flatnonzero(np.isfinite(matrix[:, 0, 0]))
    matrix, landmarks = matrix[written], landmarks[written]
    blur = low_pass(matrix)
    crops = [
        crop_face(frames[i], m, TEMPLATE.size, blur) for i, m in zip(written, matrix, strict=True)
    ]
    depth = landmarks[..., 2:] * scale_of(matrix)[:, None, None]
    on_crop = np.concatenate([apply(matrix, landmarks[..., :2]), depth], axis=-1)
    return np.stack(crops), on_crop, written


def make_clip(
    portraits: tuple[maker.Portrait, maker.Portrait],
    kind: Kind,
    expression: tuple[str, float] | None,
    seed: int,
    finder: FaceFinder,
) -> Clip:
    """Render a clip of a kind, of an emotion and amplitude."""
    rng = np.random.default_rng(seed)
    portrait = portraits[kind.extra == "small"]
    n = int(rng.integers(*kind.frames))
    apex = int(np.clip(round(rng.uniform(*kind.apex) * (n - 1)), 3, n - 4))
    if kind.extra != "small" and kind.apex[1] < 0.2 and rng.random() < 0.5:
        apex = n - 1 - apex
    face, blink, light, hand = portrait.face, None, None, None
    unit, nose = face.inter_ocular_px, face.mesh[1, :2]
    if kind.extra == "blink":
        away = [frame for frame in range(4, n - 4) if abs(frame - apex) > 4]
        blink = maker.Blink(int(rng.choice(away)), 0.45, 8)
    elif kind.extra == "gaze":
        face = Gazing(face.mesh, face.width, face.height)
        blink = maker.Blink(int(rng.integers(4, n - 4)), 1.0, 8)
    elif kind.extra == "light":
        start, stop = int(rng.integers(3, apex + 1)), int(rng.integers(apex + 1, n))
        gain, offset = float(rng.choice([0.75, 0.85, 1.15])), float(rng.uniform(-8, 12))
        light = maker.Light.stretch(n, start, stop, gain=gain, offset=offset)
    elif kind.extra == "hand":
        way = (nose[0] - 1.6 * unit, nose[1] + unit), (nose[0] - 0.3 * unit, nose[1] + 0.9 * unit)
        hand = maker.Occluder(3, n - 3, *way, palm_px=0.45 * unit)
    if kind.depth != 1.0:
        face = replace(face, mesh=face.mesh * (1.0, 1.0, kind.depth))
    motion = maker.Motion.wander(n, seed=seed, yaw=kind.turn, pitch=0.8 * kind.turn, shift=4.0)
    course = Course(*expression, apex, kind.shape) if expression else None
    truth = maker.ClipTruth(face, motion, course, blink)
    capture = maker.Capture(light, kind.noise, kind.shutter, hand, seed)
    frames = list(maker.render_clip(replace(portrait, face=face), truth, capture))
    shown = np.arange(n)
    if kind.extra == "frozen":
        again = rng.random(n) < 1 / 3
        again[0] = False
        shown = shown - again
    elif kind.extra == "gap":
        start = int(rng.integers(3, n - 6))
        shown = np.delete(shown, [i for i in range(start, start + 3) if i != apex])
    frames = compress([frames[i] for i in shown], kind.crf)
    images, landmarks, written = align(frames, finder)
    emotion = expression[0] if expression else None
    return Clip(images, landmarks, truth.states[shown[written], 6], emotion)


def stills(videos: Path | None) -> dict[str, tuple[np.ndarray | None, maker.Appearance]]:
    """Choose faces to animate, none of which the method's constants were chosen on."""
    look = maker.Appearance
    faces: dict[str, tuple[np.ndarray | None, maker.Appearance]] = {
        "astronaut, long": (None, look(False, (1.1, 1.0, 0.85), 84.0, 1.08, -0.08)),
        "astronaut, wide": (None, look(True, (0.8, 0.85, 1.0), 100.0, 0.95, 0.15)),
    }
    talker, portrait = (
        (videos / name if videos else None)
        for name in ("grid_lbax4n.mpg", "mediapipe_portrait.jpg")
    )
    if talker and talker.is_file():
        faces["talker with glasses"] = next(read_frames(talker)).image, look(inter_ocular_px=70.0)
    if portrait and portrait.is_file():
        image = cv2.cvtColor(cv2.imread(str(portrait)), cv2.COLOR_BGR2RGB)
        faces["portrait"] = np.asarray(image), look(inter_ocular_px=80.0)
    return faces


# --- methods ----------------------------------------------------------------------------------


def regions(clip: Clip) -> list[np.ndarray]:
    """Return the brows' and the mouth's boxes in the first image, as slices of rows, columns."""
    boxes = []
    for ids in (BROWS[:6], BROWS[6:], LIPS):
        points = np.nanmedian(clip.landmarks, axis=0)[list(ids), :2]
        low, high = points.min(axis=0) - 10, points.max(axis=0) + 10
        (x0, y0), (x1, y1) = np.clip([low, high], 0, TEMPLATE.size - 1).astype(int)
        boxes.append(np.s_[y0:y1, x0:x1])
    return boxes


def greys(clip: Clip) -> list[np.ndarray]:
    """Return the images in grey."""
    return [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in clip.images]


def frame_difference(clip: Clip) -> int:
    """Take the image that differs most from the first."""
    first, *_ = images = greys(clip)
    return int(np.argmax([cv2.absdiff(image, first).mean() for image in images]))


def landmark_motion(clip: Clip) -> int:
    """Take the image in which brow and mouth landmarks are farthest from where they were."""
    points = clip.landmarks[:, [*BROWS, *LIPS], :2]
    return int(np.nan_to_num(np.linalg.norm(points - points[0], axis=-1).mean(axis=1)).argmax())


def flows(clip: Clip) -> np.ndarray:
    """Return dense flow from the first image to each, (n, rows, columns, 2)."""
    first, *_ = images = greys(clip)
    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return np.stack([engine.calc(first, image, None) for image in images])


def flow_magnitude(clip: Clip) -> int:
    """Take the image with most flow since onset at brows and mouth."""
    flow = np.linalg.norm(flows(clip), axis=-1)
    return int(sum(flow[:, *box].mean(axis=(1, 2)) for box in regions(clip)).argmax())


def main_direction(clip: Clip) -> int:
    """Take the image with most flow along each region's main direction.

    After Ma, An, Wang and Chen (2019): region histograms of oriented optical flow.
    """
    flow, total = flows(clip), np.zeros(len(clip.images))
    for box in regions(clip):
        part = flow[:, *box].reshape(len(flow), -1, 2)
        length, angle = np.linalg.norm(part, axis=-1), np.arctan2(part[..., 1], part[..., 0])
        sector = ((angle + np.pi) / (2 * np.pi) * 8).astype(int) % 8
        bins = np.stack([(length * (sector == k)).sum(axis=1) for k in range(8)], axis=1)
        total += bins.max(axis=1) / part.shape[1]
    return int(total.argmax())


def binary_pattern(clip: Clip) -> int:
    """Search by halves where binary patterns differ most from the first image.

    After Yan, Wang, Chen, Zhao and Fu (2014) for the feature (one less its correlation with
    onset's) and Liong, See, Wong, Le Ngo, Oh and Phan (2015) for the search.
    """
    boxes, features = regions(clip), []
    for image in greys(clip):
        pattern = local_binary_pattern(image, 8, 1, "nri_uniform").astype(int)
        counts = [np.bincount(pattern[box].ravel(), minlength=59) for box in boxes]
        features.append(np.concatenate(counts))
    unlike = np.array([1 - np.corrcoef(features[0], feature)[0, 1] for feature in features])
    low, high = 0, len(unlike)
    while high - low > 1:
        middle = (low + high + 1) // 2
        low, high = (
            (low, middle)
            if unlike[low:middle].sum() > unlike[middle:high].sum()
            else (middle, high)
        )
    return low


def frequency(clip: Clip) -> int:
    """Take the image around which blocks change fastest.

    After Li, Huang and Zhao (2018): high frequencies of the 3D Fourier transform of blocks.
    """
    stack = np.stack(greys(clip)).astype(np.float32)
    edge = 36
    rows = TEMPLATE.size // edge * edge
    blocks = stack[:, :rows, :rows].reshape(len(stack), rows // edge, edge, rows // edge, edge)
    energy = np.zeros(len(stack))
    for t in range(2, len(stack) - 2):
        spectrum = np.abs(np.fft.rfftn(blocks[t - 2 : t + 3], axes=(0, 2, 4)))
        energy[t] = spectrum[1:].sum()
    return int(energy.argmax())


def true_pattern(clip: Clip) -> int:
    """Measure along the displacement field that the clip was rendered with: what is possible."""
    assert clip.emotion is not None
    followed = follow_points(iter(clip.images), clip.landmarks, TEMPLATE)
    assert followed is not None
    lattice = followed.lattice
    shape = np.nanmedian(clip.landmarks, axis=0)
    field = maker.Face(shape).expression_field(clip.emotion, lattice.points.astype(float))
    root = np.swapaxes(np.linalg.cholesky(followed.information), -1, -2)
    design = root @ np.concatenate([lattice.head, field[..., None]], axis=-1)
    flow = (root @ followed.flow[..., None])[..., 0]
    design, flow = design.reshape(-1, 9), flow.reshape(len(flow), -1)
    normal = design.T @ design + 1e-6 * np.eye(9)
    course = np.linalg.solve(normal, design.T @ flow.T)[-1]
    sigma = float(np.clip(len(course) / 12, 0.8, 5.0))
    return int(gaussian_filter1d(course, sigma, mode="nearest").argmax())


BASELINES: dict[str, Callable[[Clip], int]] = {
    "frame difference": frame_difference,
    "landmarks": landmark_motion,
    "flow magnitude": flow_magnitude,
    "main direction of flow": main_direction,
    "binary patterns": binary_pattern,
    "frequency": frequency,
}
OURS, BOUND = "spot_apex", "true pattern"


# --- scores -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """Of one clip: frames by which every method errs, and what ours says."""

    face: str
    kind: str
    amplitude: float
    errors: dict[str, int]
    spotted: Spotted
    cost_ms: float


def score(clip: Clip, face: str, kind: str, amplitude: float) -> Score:
    """Run every method on a clip."""
    start = time.perf_counter()
    spotted = spot_apex(iter(clip.images), clip.landmarks, TEMPLATE)
    cost_ms = 1e3 * (time.perf_counter() - start) / len(clip.images)
    errors = {}
    if clip.emotion:
        found = {name: method(clip) for name, method in BASELINES.items()}
        found |= {OURS: -99 if spotted.apex is None else spotted.apex, BOUND: true_pattern(clip)}
        errors = {name: int(np.abs(clip.best - apex).min()) for name, apex in found.items()}
    return Score(face, kind, amplitude, errors, spotted, cost_ms)


def measure(videos: Path | None, n_faces: int, finder: FaceFinder) -> Iterator[Score]:
    """Score clips of every kind, of every face."""
    for number, (name, (image, look)) in enumerate(islice(stills(videos).items(), n_faces)):
        large = maker.make_portrait(image, look, width=WIDTH, height=HEIGHT)
        tiny = maker.make_portrait(
            image, replace(look, inter_ocular_px=27.0), width=WIDTH // 2, height=HEIGHT // 2
        )
        for place, (kind, what) in enumerate(KINDS.items()):
            for step, amplitude in enumerate(AMPLITUDES[(number + place) % 2]):
                emotion = EMOTIONS[(number + place + 2 * step) % len(EMOTIONS)]
                seed = 7_000_000 + 1000 * number + 10 * place + step
                clip = make_clip((large, tiny), what, (emotion, amplitude), seed, finder)
                yield score(clip, name, kind, amplitude)
            if kind in WITHOUT:
                seed = 8_000_000 + 1000 * number + 10 * place
                clip = make_clip((large, tiny), what, None, seed, finder)
                yield score(clip, name, kind, 0.0)
        print(f"{name}: done", flush=True)


def real_clips(videos: Path | None, finder: FaceFinder) -> dict[str, Spotted]:
    """Run on real clips, whose apex nobody has annotated."""
    found = {}
    for path in [videos / name for name in CLIPS] if videos else []:
        try:
            frames = [frame.image for frame in islice(read_frames(path), MOST_FRAMES)]
        except (OSError, VideoError) as error:
            print(f"{path.name}: left out, {error}", flush=True)
            continue
        images, landmarks, _ = align(frames, finder)
        found[path.name] = spot_apex(iter(images), landmarks, TEMPLATE)
    return found


# --- the page ---------------------------------------------------------------------------------


def cell(scores: list[Score], method: str = OURS) -> str:
    """Write mean absolute error and the shares within one and two frames."""
    errors = np.array([s.errors[method] for s in scores])
    return (
        f"{errors.mean():.2f} / {100 * (errors <= 1).mean():.0f} / {100 * (errors <= 2).mean():.0f}"
    )


def row(name: str, cells: list[str]) -> str:
    """Write a row of a table."""
    return f"| {name} | " + " | ".join(cells) + " |"


GROUPS = {"0.5 - 0.7 px": (0.1, 0.9), "1 - 1.5 px": (0.9, 1.9), "2 - 3 px": (1.9, 9.0)}


def markdown(scores: list[Score]) -> str:
    """Write the tables."""
    shown = [s for s in scores if s.errors]
    still = [s for s in scores if not s.errors]
    groups = {
        name: [s for s in shown if low < s.amplitude < high] for name, (low, high) in GROUPS.items()
    }
    methods = [*BASELINES, OURS, BOUND]
    lines = [
        "## All methods",
        "",
        row("MAE / <= 1 / <= 2", [f"{k} ({len(v)} clips)" for k, v in groups.items()]),
        "|---" * (len(groups) + 1) + "|",
        *(
            row(f"**{m}**" if m == OURS else m, [cell(group, m) for group in groups.values()])
            for m in methods
        ),
        "",
        "## By kind",
        "",
        row("MAE / <= 1 / <= 2", [*groups, "flow magnitude, 1 px and more", "median `snr`"]),
        "|---" * (len(groups) + 3) + "|",
    ]
    for kind in KINDS:
        cells = [cell([s for s in group if s.kind == kind]) for group in groups.values()]
        more = [s for s in shown if s.kind == kind and s.amplitude > 0.9]
        snr = np.median([s.spotted.snr for s in more])
        lines.append(row(kind, [*cells, cell(more, "flow magnitude"), f"{snr:.0f}"]))
    lines += ["", "## By face, 1 px and more", "", row("", ["MAE / <= 1 / <= 2"]), "|---|---|"]
    for face in dict.fromkeys(s.face for s in shown):
        lines.append(row(face, [cell([s for s in shown if s.face == face and s.amplitude > 0.9])]))
    lines += [
        "",
        "## What `snr` is worth",
        "",
        row("`snr`", ["clips with an expression", "MAE / <= 1 / <= 2", "clips without one"]),
        "|---|---|---|---|",
    ]
    for low, high in ((0, 5), (5, 8), (8, 12), (12, 20), (20, 1e9)):
        here = [s for s in shown if low <= np.nan_to_num(s.spotted.snr) < high]
        none = sum(low <= np.nan_to_num(s.spotted.snr) < high for s in still)
        name = f"{low} - {high}" if high < 1e9 else f"from {low}"
        lines.append(row(name, [str(len(here)), cell(here) if here else "-", str(none)]))
    ratio = [s.spotted.peak_px / s.amplitude for s in shown if s.amplitude > 1.9]
    low, middle, high = np.nanquantile(ratio, [0.1, 0.5, 0.9])
    cost = np.median([s.cost_ms for s in scores])
    lines += [
        "",
        f"`peak_px` is {middle:.2f} of the amplitude in the median ({low:.2f} - {high:.2f} in 80 % "
        f"of the clips of 2 - 3 px). Median cost {cost:.1f} ms per frame on one core.",
    ]
    return "\n".join(lines)


def real_page(found: dict[str, Spotted]) -> str:
    """Write what was found in real clips."""
    lines = [row("", ["apex", "frames", "`peak_px`", "`snr`"]), "|---" * 5 + "|"]
    for name, spotted in found.items():
        cells = [str(spotted.apex), str(len(spotted.motion_px))]
        lines.append(row(name, [*cells, f"{spotted.peak_px:.1f}", f"{spotted.snr:.1f}"]))
    return "\n".join(lines)


def plot(examples: list[tuple[str, Clip, Spotted]], found: dict[str, Spotted], out: Path) -> None:
    """Draw curves of some clips, with the truth where it is known."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(3, 3).ravel()
    shown = [(name, spotted, clip.strength) for name, clip, spotted in examples]
    shown += [(name, spotted, None) for name, spotted in found.items()]
    for axes, (name, spotted, strength) in zip(panels, shown, strict=False):
        axes.plot(spotted.motion_px, color="tab:blue", lw=1, label="motion_px")
        axes.plot(spotted.smooth_px, color="black", label="smooth_px")
        if strength is not None and strength.max() > 0:
            scale = spotted.peak_px / (strength.max() - strength[0])
            truth = (strength - strength[0]) * scale
            axes.plot(truth, "--", color="tab:red", label="truth, scaled")
        if spotted.apex is not None:
            axes.axvline(spotted.apex, color="grey", lw=0.8)
        axes.set_title(f"{name}, snr {spotted.snr:.0f}", fontsize="small")
        axes.set_ylabel("px", fontsize="small")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, fontsize="small", ncols=3, loc="outside upper center")
    figure.savefig(out, dpi=100)


def examples(finder: FaceFinder) -> list[tuple[str, Clip, Spotted]]:
    """Render some clips to look at."""
    large = maker.make_portrait(width=WIDTH, height=HEIGHT)
    found = []
    for kind, expression in (
        ("plain", ("Happy", 2.0)),
        ("blink", ("Sad", 1.0)),
        ("held", ("Surprise", 1.5)),
        ("turn 5°", None),
    ):
        clip = make_clip((large, large), KINDS[kind], expression, 5, finder)
        name = "{}, {} px".format(*expression) if expression else "no expression"
        spotted = spot_apex(iter(clip.images), clip.landmarks, TEMPLATE)
        found.append((f"{kind}: {name}", clip, spotted))
    return found


def main(out: Path, videos: Path | None, n_faces: int) -> None:
    """Run everything, print it and write it."""
    cv2.setNumThreads(1)
    with FaceFinder(0.5, 1) as finder:
        scores = list(measure(videos, n_faces, finder))
        found = real_clips(videos, finder)
        drawn = examples(finder)
    page = markdown(scores)
    if found:
        page += f"\n\n## Real clips\n\n{real_page(found)}"
    print(f"\n{page}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "apex-benchmark.md").write_text(
        "# Spotting the apex: benchmark\n\nMade by `benchmarks/apex.py`; see [apex.md](apex.md). "
        f"{len(scores)} clips of {len({s.face for s in scores})} faces on which no constant was "
        "chosen. MAE in frames / share of clips within one frame / within two, in percent. "
        "Amplitudes at an inter-ocular distance of 90 px.\n\n![Curves](apex.png)\n\n"
        f"{page}\n",
        encoding="utf-8",
    )
    plot(drawn, found, out / "apex.png")


if __name__ == "__main__":
    beside = ROOT.parent / "shared" / "videos"
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--faces", type=int, default=4, help="how many to animate, at least 1")
    parser.add_argument(
        "--videos", type=Path, default=beside if beside.is_dir() else None, help="real clips"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    given = parser.parse_args()
    main(given.out, given.videos, max(given.faces, 1))
