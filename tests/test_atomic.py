"""What is made appears whole or not at all, and remnants go."""

import os
from pathlib import Path

import pytest

from cmedplan.atomic import clear_parts, fresh_folder, part_of, write_whole


def test_remnants_of_a_path_are_cleared_and_no_others(tmp_path: Path) -> None:
    mine, neighbour = tmp_path / "S.1", tmp_path / "S.1.b"
    part_of(mine).mkdir()
    part_of(mine).touch()
    kept = [part_of(neighbour), tmp_path / "S.1", tmp_path / ".S.1.part"]
    for path in kept:
        path.touch()
    clear_parts(mine)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_fresh_folder_takes_the_old_ones_place(tmp_path: Path) -> None:
    place = tmp_path / "images" / "S1"
    for name in ("old.png", "new.png"):
        with fresh_folder(place) as folder:
            (folder / name).touch()
            assert folder != place
        assert [path.name for path in place.iterdir()] == [name]
    assert os.listdir(place.parent) == ["S1"]


def test_what_killed_jobs_have_left_goes_when_the_path_is_made(tmp_path: Path) -> None:
    part_of(tmp_path / "S1").mkdir()
    part_of(tmp_path / "a").touch()
    with fresh_folder(tmp_path / "S1"):
        pass
    write_whole(tmp_path / "a", "new\n")
    assert sorted(os.listdir(tmp_path)) == ["S1", "a"]


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    place = tmp_path / "S1"
    place.mkdir()
    (place / "old.png").touch()
    with pytest.raises(FileNotFoundError), fresh_folder(place) as folder:
        (folder / "half.png").rename(folder / "no such folder" / "half.png")
    assert [path.name for path in place.iterdir()] == ["old.png"]
    assert os.listdir(tmp_path) == ["S1"]


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", "old\n")
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "a", "\udcff")
    assert (tmp_path / "a").read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
