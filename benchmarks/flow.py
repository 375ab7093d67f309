"""Compare methods of optical flow from onset to apex on faces whose flow is known.

    python benchmarks/flow.py

Prints the tables of docs/motion.md. Each pair of crops has an expression of 0.5, 1, 2 or 3 px in
a crop of 224 px. In each cell: end-point error on the skin that moves, mean in px; share of the
true motion that is found there; end-point error on the whole face; correlation of the strain with
the true one on the face.
"""

import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

# One core, as the tables say: before NumPy is imported.
os.environ |= dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)

import cv2
import numpy as np
from skimage.registration import optical_flow_tvl1

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow" / "scripts")]

from cmedprep.flow import METHODS, flow_between, optical_strain, remove_rigid  # noqa: E402
from cmedprep.geometry import Template, from_complex  # noqa: E402
from tests.makers.flow_pairs import Pair, end_point_error, make_pair  # noqa: E402
from tests.makers.synthetic_face import PULLS, Appearance, make_portrait  # noqa: E402

TEMPLATE = Template()
AMPLITUDES = (0.5, 1.0, 2.0, 3.0)
FACES = (
    Appearance(),
    Appearance(mirror=True, tint=(0.62, 0.5, 0.46), inter_ocular_px=100.0, length=0.9, jaw=0.1),
)
RECORDINGS = {
    "clean": {},
    "noise 2": {"noise_sigma": 2.0},
    "noise 5": {"noise_sigma": 5.0},
    "light down by 20 %": {"noise_sigma": 1.5, "gain": 0.8},
    "light up by 20 levels": {"noise_sigma": 1.5, "offset": 20.0},
    "H.264 crf 23": {"noise_sigma": 1.5, "crf": 23},
    "H.264 crf 32": {"noise_sigma": 1.5, "crf": 32},
}
Method = Callable[[np.ndarray, np.ndarray], np.ndarray]


def as_it_comes(method: str) -> Method:
    """Return a method with its library's own defaults, on grey levels as they are."""

    def measure(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
        before, after = (cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in (onset, apex))
        if method == "tvl1":
            down, right = optical_flow_tvl1(before / 255, after / 255)
            return np.stack([right, down], axis=-1)
        if method == "farneback":
            return cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(
            before, after, None
        )

    return measure


def ours(method: str) -> Method:
    """Return a method as the workflow uses it."""
    return lambda onset, apex: flow_between(onset, apex, method)


CONTESTANTS = {method: ours(method) for method in METHODS} | {
    f"{method}, library's defaults": as_it_comes(method) for method in METHODS
}


def score(found: np.ndarray, pair: Pair) -> tuple[float, float, float, float]:
    """Return the four figures of a cell."""
    moved, true = pair.moved, pair.expression
    kept = (found * true)[moved].sum() / np.square(true[moved]).sum()
    strain, true_strain = (optical_strain(flow)[pair.face] for flow in (found, pair.flow))
    return (
        end_point_error(found, pair.flow, moved),
        float(kept),
        end_point_error(found, pair.flow, pair.face),
        float(np.corrcoef(strain, true_strain)[0, 1]) if strain.any() else 0.0,
    )


def compare_methods() -> None:
    """Print one table of all methods and recordings, and one by amplitude."""
    portraits = [make_portrait(appearance=look) for look in FACES]
    cells, seconds = defaultdict(list), defaultdict(list)
    for recording, options in RECORDINGS.items():
        for number, portrait in enumerate(portraits):
            for amplitude in AMPLITUDES:
                # Every emotion has its turn.
                for emotion in sorted(PULLS)[number :: len(portraits)]:
                    pair = make_pair(portrait, emotion, amplitude, **options)
                    for name, method in CONTESTANTS.items():
                        start = time.perf_counter()
                        found = method(pair.onset, pair.apex)
                        seconds[name].append(time.perf_counter() - start)
                        figures = score(found, pair)
                        cells[name, recording].append(figures)
                        cells[name, amplitude].append(figures)
    for columns in (RECORDINGS, AMPLITUDES):
        print("\n| | ms |", " | ".join(map(str, columns)), "|")
        print("|---|---|" + "---|" * len(columns))
        for name in CONTESTANTS:
            figures = (np.mean(cells[name, column], axis=0) for column in columns)
            texts = ("{:.2f} / {:.2f} / {:.2f} / {:.2f}".format(*four) for four in figures)
            print(f"| {name} | {1000 * np.median(seconds[name]):.0f} |", " | ".join(texts), "|")


def compare_residues() -> None:
    """Print what taking the rigid residue out does to the error of the expression's flow."""
    turned = 1.004 * np.exp(1j * np.radians(0.3))
    centre = 111.5 + 111.5j
    wrong = from_complex(np.array(turned), np.array(centre - turned * centre + 0.4 - 0.3j))
    cases = {
        "held exactly": {},
        "0.5 px, 0.3°, 0.4 % off": {"misalignment": wrong},
        "blink": {"closure": 0.6},
        "yaw 2°": {"pose": (2.0, 0.0, 0.0)},
        "pitch 2°": {"pose": (0.0, 2.0, 0.0)},
        "yaw 4°": {"pose": (4.0, 0.0, 0.0)},
    }
    portraits = [make_portrait(appearance=look) for look in FACES]
    print("\n| |", " | ".join(cases), "|")
    print("|---|" + "---|" * len(cases))
    rows = defaultdict(list)
    for options in cases.values():
        errors = defaultdict(list)
        for portrait in portraits:
            for emotion in (None, *sorted(PULLS)):
                pair = make_pair(portrait, emotion, 1.5, noise_sigma=1.5, **options)
                found = flow_between(pair.onset, pair.apex, "dis")
                nose = [168, 6, 197, 195, 5]
                as_found = {
                    "as measured": found,
                    "less the median on the ridge of the nose": found
                    - np.median(found[_discs(pair.landmarks[nose, :2])], axis=0),
                    "less the similarity of the upper face, as without landmarks": remove_rigid(
                        found, None, TEMPLATE
                    ),
                    "less the affine camera with depth": remove_rigid(
                        found, pair.landmarks, TEMPLATE
                    ),
                }
                for name, flow in as_found.items():
                    errors[name].append(end_point_error(flow, pair.expression, pair.face))
        for name, values in errors.items():
            rows[name].append(f"{np.mean(values):.2f}")
    for name, values in rows.items():
        print(f"| {name} |", " | ".join(values), "|")


def _discs(points: np.ndarray) -> np.ndarray:
    """Return the pixels within 6 px of any point."""
    y, x = np.mgrid[:224, :224]
    near = [np.hypot(x - px, y - py) <= 6 for px, py in points]
    return np.any(near, axis=0)


if __name__ == "__main__":
    compare_methods()
    compare_residues()
