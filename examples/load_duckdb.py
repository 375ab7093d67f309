"""Load the samples of a scheme with DuckDB, without reading more than the query needs.

python examples/load_duckdb.py [RESULTS]
"""

import sys
from pathlib import Path

import duckdb
import numpy as np
from PIL import Image

CLIPS = """
    SELECT clip_id, subject, emotion_3class AS label, list(image ORDER BY slot) AS images
    FROM read_parquet($files)
    GROUP BY ALL
    HAVING count(image) = count(*)  -- every slot has an image
    ORDER BY clip_id
"""


def load(results: Path, scheme: str = "phase11") -> duckdb.DuckDBPyRelation:
    """Return one row for each clip whose slots all have an image: subject, label, images."""
    return duckdb.sql(CLIPS, params={"files": f"{results}/samples/{scheme}/*.parquet"})


def read_images(results: Path, images: list[str]) -> np.ndarray:
    """Return the images of a clip, (slots, height, width, 3) uint8, RGB."""
    return np.stack([np.asarray(Image.open(results / image)) for image in images])


def main(results: Path) -> None:
    """Print how many clips there are of each label, and the shape of one."""
    clips = load(results)
    print(clips.aggregate("label, count(*) AS clips").order("label"))
    clip_id, _, _, images = clips.limit(1).fetchall()[0]
    print(clip_id, read_images(results, images).shape)


if __name__ == "__main__":
    main(Path(*sys.argv[1:] or ["results"]))
