"""Draw the README's picture from a finished run on the demo: `python docs/make_picture.py`."""

import sys
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from cmedprep.video import read_frames  # noqa: E402

CLIP = "Subject_01/Surprise/vid1"
SLOTS = (0, 2, 4, 5, 6, 8, 10)


def draw(clip_id: str, target: Path) -> None:
    """Draw source frames above aligned ones, at some slots of the scheme `phase11`."""
    results = ROOT / "results"
    clips = pd.read_parquet(results / "clips.parquet").set_index("clip_id")
    samples = pd.read_parquet(results / "samples" / "phase11")
    samples = samples[samples["clip_id"] == clip_id].set_index("slot").loc[list(SLOTS)]
    source = ROOT / "demo" / clips.loc[clip_id, "path"]
    frames = {frame.index: frame.image for frame in read_frames(source)}
    figure, axes = plt.subplots(
        2, len(SLOTS), figsize=(12, 3.25), dpi=110, height_ratios=[0.75, 1], layout="compressed"
    )
    names = {0: "onset", 5: "apex", 10: "offset"}
    for column, (slot, sample) in enumerate(samples.iterrows()):
        image = cv2.imread(str(results / sample["image"]))
        axes[0, column].imshow(frames[sample["frame_index"]])
        axes[1, column].imshow(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        label = f"frame {sample['frame_index']}"
        axes[1, column].set_xlabel(f"{names[slot]}\n{label}" if slot in names else label)
    axes[0, 0].set_ylabel("source")
    axes[1, 0].set_ylabel("aligned")
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    figure.savefig(target)


if __name__ == "__main__":
    draw(CLIP, ROOT / "docs" / "aligned.png")
