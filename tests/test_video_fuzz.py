"""Damaged videos end as rows: see `fuzz_videos`, which does the same at length."""

from pathlib import Path

import av
import pytest

from tests.fuzz_videos import fuzz, make_sources, mutations

av.logging.set_level(None)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_sources(tmp_path_factory.mktemp("sources"), real=False)


def test_two_hundred_damaged_videos_each_have_a_row(sources: list[Path], tmp_path: Path) -> None:
    tally, faults = fuzz(sources, 0, range(200), tmp_path)
    assert faults == []
    assert sum(tally.values()) == 200
    assert {"ok", "truncated_video", "unreadable_video"} <= set(tally)


def test_a_mutation_can_be_made_again(sources: list[Path]) -> None:
    several = list(mutations(sources, 0, range(5)))
    assert list(mutations(sources, 0, [3])) == [several[3]]
    assert several != list(mutations(sources, 1, range(5)))
