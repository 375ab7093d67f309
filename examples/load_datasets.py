"""Load the samples of a scheme with Hugging Face's `datasets`: one row for each image.

    HF_HUB_OFFLINE=1 python examples/load_datasets.py [RESULTS]

Nothing is uploaded or downloaded; HF_HUB_OFFLINE makes sure of it. `datasets` copies the table,
not the images, into its cache (HF_HOME): delete that with the data.
"""

import sys
from collections import Counter
from pathlib import Path

import datasets


def load(results: Path, scheme: str = "phase11") -> datasets.Dataset:
    """Return one row for each slot that has an image, which is decoded when it is asked for."""
    files = sorted(map(str, (results / "samples" / scheme).glob("*.parquet")))
    slots = datasets.load_dataset("parquet", data_files=files, split="train")
    slots = slots.filter(lambda image: image is not None, input_columns="image")
    slots = slots.map(lambda row: {"image": str(results / row["image"])})
    return slots.cast_column("image", datasets.Image()).rename_column("emotion_3class", "label")


def main(results: Path) -> None:
    """Print how many images there are of each label, and the size of one."""
    slots = load(results)
    print(Counter(slots["label"]))
    print(slots[0]["clip_id"], slots[0]["slot"], slots[0]["image"].size)


if __name__ == "__main__":
    main(Path(*sys.argv[1:] or ["results"]))
