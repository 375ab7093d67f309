"""Load the samples of a scheme with pandas: a table of clips, and the images of any of them.

python examples/load_pandas.py [RESULTS]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image


def load(results: Path, scheme: str = "phase11") -> pd.DataFrame:
    """Return one row for each clip whose slots all have an image: subject, label, images."""
    samples = pd.read_parquet(results / "samples" / scheme).sort_values(["clip_id", "slot"])
    clips = samples.groupby("clip_id").agg(
        subject=("subject", "first"),
        label=("emotion_3class", "first"),
        images=("image", list),
    )
    return clips[samples["image"].notna().groupby(samples["clip_id"]).all()]


def read_images(results: Path, images: list[str]) -> np.ndarray:
    """Return the images of a clip, (slots, height, width, 3) uint8, RGB."""
    return np.stack([np.asarray(Image.open(results / image)) for image in images])


def main(results: Path) -> None:
    """Print how many clips there are of each label, and the shape of one."""
    clips = load(results)
    print(clips["label"].value_counts(dropna=False).to_string())
    print(clips.index[0], read_images(results, clips["images"].iloc[0]).shape)


if __name__ == "__main__":
    main(Path(*sys.argv[1:] or ["results"]))
