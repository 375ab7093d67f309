"""A PyTorch `Dataset` of the clips that a fold trains on or tests.

python examples/torch_dataset.py [RESULTS]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset


class Clips(Dataset):
    """Clips as (slots, 3, height, width) float32 in 0..1, and the number of their class.

    Clips of the fold with a slot that has no image are left out: a score is of `rows` alone.
    """

    def __init__(self, results, fold, training, split="loso_3class", scheme="phase11"):
        self.results = Path(results)
        rows = pd.read_parquet(self.results / "splits" / f"{split}.parquet")
        rows = rows[rows["seed"].isna() | (rows["seed"] == rows["seed"].min())]
        self.classes = sorted(rows["label"].unique())
        samples = pd.read_parquet(self.results / "samples" / scheme).sort_values("slot")
        images = samples.groupby("clip_id")["image"].agg(list)
        whole = samples["image"].notna().groupby(samples["clip_id"]).all()
        rows = rows[(rows["fold"] == fold) != training].set_index("clip_id")
        self.rows = rows.join(images[whole], how="inner")

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        row = self.rows.iloc[number]
        clip = np.stack([np.asarray(Image.open(self.results / image)) for image in row["image"]])
        pixels = torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 255
        return pixels, self.classes.index(row["label"])


def main(results: Path) -> None:
    """Print the sizes of either side of the first fold, and the shape of a batch."""
    training, test = Clips(results, 0, training=True), Clips(results, 0, training=False)
    print(len(training), "clips to train on,", len(test), "to test:", training.classes)
    clips, labels = next(iter(DataLoader(training, batch_size=4, shuffle=True)))
    print(tuple(clips.shape), labels.tolist())


if __name__ == "__main__":
    main(Path(*sys.argv[1:] or ["results"]))
