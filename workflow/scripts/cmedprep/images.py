"""Keep images as files, or inside the table that lists them, and read them back from either.

File systems of clusters hate small files; inside a table, images are the bytes of the same files,
as the `Image` feature of Hugging Face's `datasets` stores them. A table's `image` names the
file either way.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from cmedplan.atomic import clear_parts, fresh_folder, part_of

OF_IMAGES = ("image", "sha256", "pixels_sha256", "encoded")
"""What a table says of an image; `encoded` only where it is inside."""

SUFFIXES = {"png": ".png", "jpeg": ".jpg"}
# As small as level 9, in a fortieth of the time: neighbouring pixels predict each other (Paeth),
# and what is left of a face has no repeats worth a search. With RLE all levels are the same.
_PNG = [
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
]


@dataclass(frozen=True, slots=True)
class ImageStore:
    """Where the images of a subject are kept while a job makes them.

    Attributes
    ----------
    place : str
        The subject's folder of images, relative to the results: ``images/Subject_01``.
    crop : mapping
        The config's `crop`.
    folder : Path or None
        What will become that folder; None to keep images inside the table.
    """

    place: str
    crop: Mapping[str, Any]
    folder: Path | None

    @property
    def inside(self) -> bool:
        """Whether images are kept inside the table."""
        return self.folder is None

    def keep(self, name: str, image: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
        """Keep an image; return what a table says of it, and the pixels that are kept.

        Parameters
        ----------
        name : str
            The clip's id and the image's number: ``Subject_01/Happy/vid1/000004``.
        image : ndarray, shape (height, width, 3), uint8
            RGB.

        Returns
        -------
        kept : dict
            `OF_IMAGES`: `sha256` is of the file, `pixels_sha256` of the pixels that it holds.
        pixels : ndarray
            The image as `read_images` will give it: JPEG holds another than was given.
        """
        data = encode(image, self.crop["format"], self.crop["quality"])
        pixels = image if self.crop["format"] == "png" else decode(data)
        below = PurePosixPath(*PurePosixPath(name).parts[1:])
        path = f"{self.place}/{below}{SUFFIXES[self.crop['format']]}"
        if self.folder is not None:
            file = self.folder / PurePosixPath(path).relative_to(self.place)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        kept = {
            "image": path,
            "sha256": hashlib.sha256(data).hexdigest(),
            "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
            "encoded": {"bytes": data, "path": path},
        }
        return kept, pixels


@contextmanager
def open_store(
    results: Path, place: str, crop: Mapping[str, Any], container: str
) -> Iterator[ImageStore]:
    """Give a store for all images of a subject, which takes the place of the one before.

    Parameters
    ----------
    results : Path
        The folder of all results.
    place : str
        The subject's folder of images, relative to it.
    crop : mapping
        The config's `crop`.
    container : str
        The config's `images`: ``directory``, or ``parquet`` for images inside the table. Files
        of an earlier run that kept them in the directory are removed when the block ends.
    """
    if container == "parquet":
        yield ImageStore(place, crop, None)
        remove_store(results, place)
    else:
        with fresh_folder(results / place) as folder:
            yield ImageStore(place, crop, folder)


def remove_store(results: Path, place: str) -> None:
    """Remove a subject's folder of images, and what killed jobs have left beside it."""
    folder = results / place
    clear_parts(folder)
    if folder.is_dir() and not folder.is_symlink():
        gone = part_of(folder)
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def read_images(
    table: pa.Table, results: Path, rows: Iterable[int] | None = None
) -> Iterator[np.ndarray]:
    """Yield images that a table lists, (height, width, 3) uint8 RGB, one in memory at a time.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of `schemas.FRAMES`, of a clip.
    results : Path
        The folder that `image` is relative to.
    rows : iterable of int, optional
        Which of them, and in which order; all by default.

    Raises
    ------
    RuntimeError
        An image is not the one that was written.
    """
    digests, places = (table[name].to_pylist() for name in ("sha256", "image"))
    for row in range(table.num_rows) if rows is None else rows:
        place = results / places[row]
        data = _read_bytes(table, place, row)
        if hashlib.sha256(data).hexdigest() != digests[row]:
            made_by = results / "frames" / f"{table['subject'][row].as_py()}.parquet"
            raise RuntimeError(
                f"{place} should be the image that `frames` lists, and is "
                f"{'another' if data else 'not there'}: it was changed or removed after it had "
                f"been made. Remove {made_by} and run the workflow again, which makes all images "
                "of the subject anew."
            )
        yield decode(data)


def encode(image: np.ndarray, kind: str, quality: int) -> bytes:
    """Return an RGB image as the bytes of a PNG or JPEG file.

    Equal pixels give equal bytes with the same builds of OpenCV and of zlib, which OpenCV's
    wheel takes from the system; a PNG's pixels are the same with any.
    """
    options = _PNG if kind == "png" else [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, data = cv2.imencode(SUFFIXES[kind], cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise OSError(f"OpenCV could not encode a {image.shape} image as {kind}")
    return data.tobytes()


def decode(data: bytes) -> np.ndarray:
    """Return an image file's pixels, RGB, shape (height, width, 3), uint8."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("these bytes are no image that OpenCV can read")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _read_bytes(table: pa.Table, place: Path, row: int) -> bytes:
    if "encoded" in table.column_names:
        data: bytes = table["encoded"][row].as_py()["bytes"]
        return data
    return place.read_bytes() if place.is_file() else b""
