"""Load the samples of a scheme with Polars.

python examples/load_polars.py [RESULTS]
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image


def load(results: Path, scheme: str = "phase11") -> pl.DataFrame:
    """Return one row for each clip whose slots all have an image: subject, label, images."""
    return (
        pl.scan_parquet(results / "samples" / scheme)
        .sort("clip_id", "slot")
        .group_by("clip_id", "subject", label="emotion_3class", maintain_order=True)
        .agg(images="image")
        .filter(pl.col("images").list.eval(pl.element().is_null().any()).list.first().not_())
        .collect()
    )


def read_images(results: Path, images: list[str]) -> np.ndarray:
    """Return the images of a clip, (slots, height, width, 3) uint8, RGB."""
    return np.stack([np.asarray(Image.open(results / image)) for image in images])


def main(results: Path) -> None:
    """Print how many clips there are of each label, and the shape of one."""
    clips = load(results)
    print(clips["label"].value_counts(sort=True))
    print(clips["clip_id"][0], read_images(results, clips["images"][0].to_list()).shape)


if __name__ == "__main__":
    main(Path(*sys.argv[1:] or ["results"]))
