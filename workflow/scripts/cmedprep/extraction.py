"""Cut the aligned frames of a clip out of its video, and measure the expression in them."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from cmedprep.crops import crop_face, low_pass
from cmedprep.expression import crop_landmarks, spot_clip
from cmedprep.geometry import Template, to_crop
from cmedprep.images import OF_IMAGES, ImageStore
from cmedprep.repeats import RepeatFinder
from cmedprep.schemas import FRAMES, FRAMES_WITH_IMAGES, MATRIX
from cmedprep.tables import FRAME_KEY_NAMES, fixed_list, to_array
from cmedprep.video import Frame


def extract_clip(
    alignment: pa.Table,
    faces: pa.Table,
    frames: Iterable[Frame],
    template: Template,
    size: int,
    store: ImageStore,
) -> tuple[pa.Table, pa.Table]:
    """Keep a clip's aligned frames; return its rows of `schemas.FRAMES` and `schemas.EXPRESSION`.

    Parameters
    ----------
    alignment, faces : pyarrow.Table
        The clip's rows of `schemas.ALIGNMENT` and `schemas.FACES`, one for each decoded frame.
    frames : iterable of Frame
        All frames of the clip; one is in memory at a time.
    template : Template
        The template of the alignment's matrices, in whose pixels motion is stated.
    size : int
        Width and height of the images in pixels.
    store : ImageStore
        Where the subject's images are kept.
    """
    to_template = to_array(alignment["matrix"], (2, 3))
    placed = ~np.isnan(to_template[:, 0, 0])
    matrices = to_crop(to_template, template, size)
    blur = low_pass(matrices[placed]) if placed.any() else 0.0
    clip_id = alignment["clip_id"][0].as_py()
    repeats = RepeatFinder()
    kept = []
    schema = FRAMES_WITH_IMAGES if store.inside else FRAMES
    of_images = [name for name in OF_IMAGES if name in schema.names]

    def images() -> Iterator[np.ndarray]:
        for frame in frames:
            if placed[frame.index]:
                matrix = matrices[frame.index]
                image = crop_face(frame.image, matrix, size, blur)
                listed, pixels = store.keep(f"{clip_id}/{frame.index:06d}", image)
                kept.append({name: listed[name] for name in of_images})
                repeats.add(frame.index, frame.image, matrix, size)
                yield pixels

    rows = alignment.filter(pa.array(placed))
    landmarks = to_array(faces["landmarks"], (-1, 3))[placed]
    every = images()
    expression = spot_clip(
        every, crop_landmarks(landmarks, matrices[placed]), rows.select(FRAME_KEY_NAMES), template
    )
    for _ in every:  # what there was nothing to measure in is kept all the same
        pass
    repeated, difference = repeats.result()
    columns = {name: rows[name] for name in FRAME_KEY_NAMES} | {
        "width": [size] * len(kept),
        "height": [size] * len(kept),
        "matrix": fixed_list(matrices[placed], np.ones(len(kept), bool), MATRIX),
        "interpolated": rows["interpolated"],
        "repeats_frame": repeated,
        "difference": difference,
    }
    columns |= {name: [image[name] for image in kept] for name in of_images}
    return pa.table(columns, schema=schema), expression
