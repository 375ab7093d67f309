"""Images are the same bytes whether they are files or inside the table that lists them."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cmedplan.atomic import part_of
from cmedprep import images
from cmedprep.images import ImageStore, decode, encode, open_store, read_images, remove_store

PNG = {"size": 8, "format": "png", "quality": 95}
RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(3)]


def keep_all(results: Path, container: str, crop: dict = PNG) -> pa.Table:
    with open_store(results, "images/S1", crop, container) as store:
        kept = [store.keep(f"S1/Happy/a/{i:06d}", image)[0] for i, image in enumerate(IMAGES)]
    columns = {name: [row[name] for row in kept] for name in kept[0]}
    if container == "directory":
        del columns["encoded"]
    return pa.table({"subject": ["S1"] * len(kept)} | columns)


@pytest.mark.parametrize("container", ["directory", "parquet"])
def test_images_are_read_back_as_they_were_kept(tmp_path: Path, container: str) -> None:
    table = keep_all(tmp_path, container)
    for before, after in zip(IMAGES, read_images(table, tmp_path), strict=True):
        assert np.array_equal(before, after)
    (last,) = read_images(table, tmp_path, [2])
    assert np.array_equal(last, IMAGES[2])


def test_a_table_holds_the_bytes_that_the_files_would_have(tmp_path: Path) -> None:
    outside = keep_all(tmp_path, "directory")
    files = {path: (tmp_path / path).read_bytes() for path in outside["image"].to_pylist()}
    inside = keep_all(tmp_path, "parquet")
    assert {row["path"]: row["bytes"] for row in inside["encoded"].to_pylist()} == files
    for name in ("image", "sha256", "pixels_sha256"):
        assert inside[name].equals(outside[name])
    assert [hashlib.sha256(data).hexdigest() for data in files.values()] == inside[
        "sha256"
    ].to_pylist()


def test_images_that_move_into_the_table_leave_no_file(tmp_path: Path) -> None:
    keep_all(tmp_path, "directory")
    keep_all(tmp_path, "parquet")
    assert list((tmp_path / "images").iterdir()) == []


def test_a_job_that_fails_keeps_the_images_there_were(tmp_path: Path) -> None:
    for container in ("directory", "parquet"):
        table = keep_all(tmp_path, "directory")

        def fail(container: str = container) -> None:
            with open_store(tmp_path, "images/S1", PNG, container) as store:
                store.keep("S1/Happy/b/000000", IMAGES[0])
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert len(list(read_images(table, tmp_path))) == len(IMAGES)
        assert [path.name for path in (tmp_path / "images").iterdir()] == ["S1"]


def test_what_a_killed_job_has_left_of_images_goes_with_them(tmp_path: Path) -> None:
    keep_all(tmp_path, "directory")
    part_of(tmp_path / "images" / "S1").mkdir()
    keep_all(tmp_path, "parquet")
    assert list((tmp_path / "images").iterdir()) == []


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_quality_is_that_of_jpeg_alone(kind: str) -> None:
    fine, coarse = (len(encode(IMAGES[0], kind, quality)) for quality in (95, 10))
    assert (fine == coarse) is (kind == "png")


def test_what_is_no_folder_of_ours_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "S1").symlink_to(tmp_path / "elsewhere")
    remove_store(tmp_path, "images/S1")
    remove_store(tmp_path, "images/S2")
    assert (tmp_path / "elsewhere").is_dir()
    assert (tmp_path / "images" / "S1").is_symlink()


@pytest.mark.parametrize(("harm", "word"), [("change", "another"), ("remove", "not there")])
def test_an_image_that_is_not_the_one_that_was_written_is_refused(
    tmp_path: Path, harm: str, word: str
) -> None:
    table = keep_all(tmp_path, "directory")
    path = tmp_path / "images/S1/Happy/a/000001.png"
    path.write_bytes(b"other") if harm == "change" else path.unlink()
    with pytest.raises(RuntimeError, match=word) as error:
        list(read_images(table, tmp_path))
    assert "000001.png" in str(error.value)
    assert "frames/S1.parquet" in str(error.value)


def test_jpeg_has_its_own_ending(tmp_path: Path) -> None:
    table = keep_all(tmp_path, "parquet", PNG | {"format": "jpeg"})
    assert table["image"][0].as_py() == "images/S1/Happy/a/000000.jpg"
    assert np.abs(next(read_images(table, tmp_path)).astype(int) - IMAGES[0]).mean() < 60


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_pixels_are_digested_as_they_will_be_read(tmp_path: Path, kind: str) -> None:
    table = keep_all(tmp_path, "parquet", PNG | {"format": kind})
    read = [hashlib.sha256(image.tobytes()).hexdigest() for image in read_images(table, tmp_path)]
    assert read == table["pixels_sha256"].to_pylist()


@pytest.mark.parametrize(("kind", "times"), [("png", 0), ("jpeg", 1)])
def test_what_is_kept_is_given_back_and_decoded_no_more_than_once(
    monkeypatch: pytest.MonkeyPatch, kind: str, times: int
) -> None:
    decoded = []
    monkeypatch.setattr(images, "decode", lambda data: decoded.append(data) or decode(data))
    kept, pixels = ImageStore("images/S1", PNG | {"format": kind}, None).keep("S1/a/0", IMAGES[0])
    assert len(decoded) == times
    assert np.array_equal(pixels, decode(kept["encoded"]["bytes"]))


def test_a_store_without_a_folder_writes_nothing(tmp_path: Path) -> None:
    ImageStore("images/S1", PNG, None).keep("S1/Happy/a/000000", IMAGES[0])
    assert list(tmp_path.iterdir()) == []
