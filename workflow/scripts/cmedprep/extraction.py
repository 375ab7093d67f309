"""Write aligned frames as image files, in a folder that appears whole."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cmedplan.atomic import clear_parts, part_of
from cmedprep.crops import SUFFIXES, crop_face, encode, low_pass
from cmedprep.geometry import Template, to_crop
from cmedprep.schemas import FRAMES, MATRIX
from cmedprep.tables import FRAME_KEY_NAMES, fixed_list, to_array
from cmedprep.video import Frame


def extract_clip(
    alignment: pa.Table,
    frames: Iterable[Frame],
    template: Template,
    crop: Mapping[str, Any],
    folder: Path,
) -> pa.Table:
    """Write a clip's aligned frames and return its rows of `schemas.FRAMES`.

    Parameters
    ----------
    alignment : pyarrow.Table
        The clip's rows of `schemas.ALIGNMENT`, one for each decoded frame.
    frames : iterable of Frame
        All frames of the clip.
    template : Template
        The template of the alignment's matrices.
    crop : mapping
        The config's `crop`.
    folder : Path
        The subject's folder of images, while it is being filled; images go to
        ``{emotion}/{clip}/{frame:06d}.png`` below it.
    """
    to_template = to_array(alignment["matrix"], (2, 3))
    placed = ~np.isnan(to_template[:, 0, 0])
    matrices = to_crop(to_template, template, crop["size"])
    blur = low_pass(matrices[placed]) if placed.any() else 0.0
    clip_id = alignment["clip_id"][0].as_py()
    place = Path(clip_id).relative_to(Path(clip_id).parts[0])
    (folder / place).mkdir(parents=True, exist_ok=True)
    names, files, pixels = [], [], []
    for frame in frames:
        if placed[frame.index]:
            image = crop_face(frame.image, matrices[frame.index], crop["size"], blur)
            data = encode(image, crop["format"], crop["quality"])
            name = f"{frame.index:06d}{SUFFIXES[crop['format']]}"
            (folder / place / name).write_bytes(data)
            names.append(f"images/{clip_id}/{name}")
            files.append(hashlib.sha256(data).hexdigest())
            pixels.append(hashlib.sha256(image.tobytes()).hexdigest())
    rows = alignment.filter(pa.array(placed))
    columns = {name: rows[name] for name in FRAME_KEY_NAMES} | {
        "image": names,
        "width": [crop["size"]] * len(names),
        "height": [crop["size"]] * len(names),
        "sha256": files,
        "pixels_sha256": pixels,
        "matrix": fixed_list(matrices[placed], np.ones(len(names), bool), MATRIX),
        "interpolated": rows["interpolated"],
    }
    return pa.table(columns, schema=FRAMES)


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Give a new folder to fill, which takes the place of `path` when the block ends.

    What a killed job has left of an earlier attempt is removed first. When the block fails,
    the new folder is removed and `path` stays as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_parts(path)
    part, old = part_of(path), part_of(path)
    part.mkdir()
    try:
        yield part
        if path.exists():
            path.rename(old)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
