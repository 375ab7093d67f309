"""Draw docs/motion.png from the demo's results with `motion.methods: [dis]`: see `make baseline`.

python docs/make_motion_picture.py [RESULTS]
"""

import sys
from pathlib import Path

import cv2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

CLIPS = ("Surprise/vid1", "Happy/vid1", "Sad/vid1", "No_Emotion/vid1")
SUBJECT = "Subject_01"
STEP = 9  # px between arrows
ENLARGED = 6


def draw(results: Path, picture: Path) -> None:
    """Draw the flow of some clips as arrows over their apex frames, and their strain."""
    motion = pd.read_parquet(results / "motion" / "dis").set_index("clip_id")
    frames = pd.read_parquet(results / "frames").set_index(["clip_id", "frame_index"])
    figure, axes = plt.subplots(2, len(CLIPS), figsize=(11, 5.6), layout="constrained")
    for (above, below), name in zip(axes.T, CLIPS, strict=True):
        row = motion.loc[f"{SUBJECT}/{name}"]
        flow = np.reshape(row["flow"], row["shape"]).astype(float)
        strain = np.reshape(row["strain"], row["shape"][:2]).astype(float)
        path = results / frames.loc[(row.name, row["apex_frame"]), "image"]
        y, x = np.mgrid[40:200:STEP, 36:190:STEP]
        u, v = flow[y, x].transpose(2, 0, 1)
        above.imshow(cv2.imread(str(path))[..., ::-1], alpha=0.55)
        length = np.hypot(u, v)
        above.quiver(
            *(x, y, u, v, length),
            **{"angles": "xy", "scale_units": "xy", "scale": 1 / ENLARGED, "width": 0.006},
            **{"cmap": "viridis", "clim": (0, 2)},
        )
        above.set_title(f"{name.split('/')[0]}: flow $\\times$ {ENLARGED}", fontsize=10)
        below.imshow(strain, cmap="magma", vmin=0, vmax=0.12)
        below.set_title("strain, 0 to 0.12", fontsize=10)
        for axis in (above, below):
            axis.set_axis_off()
            axis.set(xlim=(25, 199), ylim=(205, 31))
    figure.savefig(picture, dpi=100)


if __name__ == "__main__":
    draw(Path(*sys.argv[1:] or ["results"]), Path(__file__).with_name("motion.png"))
