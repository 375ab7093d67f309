"""What a job reads of a clip is the video that was indexed, or the job fails."""

import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmedplan.digests import digest_file
from cmedprep.clips import KeptImages, open_clip
from tests.makers.make_videos import Kind, pictures, write_video


@pytest.fixture
def clip(tmp_path: Path) -> dict[str, Any]:
    video = write_video(tmp_path / "clip.mp4", pictures(4), Kind("clip.mp4", "libx264"))
    return {"path": "clip.mp4", "sha256": digest_file(video)}


def test_frames_of_the_indexed_video_are_read_again_and_again(
    tmp_path: Path, clip: dict[str, Any]
) -> None:
    source = open_clip(tmp_path, clip)
    assert [frame.index for frame in source.frames()] == [0, 1, 2, 3]
    assert len(list(source.images())) == 4


@pytest.mark.parametrize("change", ["other content", "gone", "a folder"])
def test_another_file_is_not_opened(tmp_path: Path, clip: dict[str, Any], change: str) -> None:
    path = tmp_path / "clip.mp4"
    path.unlink()
    if change == "other content":
        path.write_bytes(b"another film")
    elif change == "a folder":
        path.mkdir()
    with pytest.raises(RuntimeError, match="is not the file that was indexed"):
        open_clip(tmp_path, clip)


@pytest.mark.parametrize("change", ["replaced", "written to", "removed"])
def test_a_video_that_changes_between_its_digest_and_its_last_frame_is_an_error(
    tmp_path: Path, clip: dict[str, Any], change: str
) -> None:
    path = tmp_path / "clip.mp4"
    source = open_clip(tmp_path, clip)
    frames = source.frames()
    next(frames)
    if change == "replaced":
        # Even by an equal one of the same age: between the two it may have been another.
        copy = tmp_path / "copy.mp4"
        shutil.copy2(path, copy)
        os.replace(copy, path)
    elif change == "written to":
        os.utime(path, ns=(0, 0))
    else:
        path.unlink()
    with pytest.raises(RuntimeError, match="is not the file that was indexed"):
        list(frames)


@pytest.mark.parametrize(("most", "opened"), [(1000, 1), (25, 3), (0, 4)])
def test_kept_images_are_those_of_the_clip_however_far_each_pass_gets(
    most: int, opened: int
) -> None:
    decoded = []

    def open_images() -> Iterator[np.ndarray]:
        decoded.append(0)
        yield from (np.full(10, number, np.uint8) for number in range(5))

    images = KeptImages(open_images, most)
    for length in (2, 4, 5, 5):
        assert [int(image[0]) for image in islice(images(), length)] == [*range(length)]
    assert len(decoded) == opened
