"""What a clip says of its own stillness, where everything that moves is known."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cmedprep.certificate import held_out_stillness, stillness
from cmedprep.geometry import Template

N_FRAMES = 10
TEMPLATE = Template()
STILL = np.broadcast_to(np.eye(2, 3), (N_FRAMES, 2, 3))
GRID = np.stack(np.meshgrid([90.0, 110.0, 130.0], [80.0, 100.0, 120.0]), axis=-1).reshape(-1, 2)


def shifted(dx: np.ndarray) -> np.ndarray:
    """Move each frame to the right by some pixels."""
    matrix = STILL.copy()
    matrix[:, 0, 2] = dx
    return matrix


def view(seen_dx: np.ndarray, error: np.ndarray | float = 0.01) -> Any:
    """See the skin displaced by some pixels in each frame, by both folds alike."""
    parameters = np.zeros((3, N_FRAMES, 4, 2))
    parameters[:, :, 0, 0] = seen_dx
    design = np.column_stack([np.ones(len(GRID)), np.zeros((len(GRID), 3))])
    reference = SimpleNamespace(
        target=GRID,
        target_design=design,
        points=np.repeat(GRID, 2, axis=0),
        fold=np.arange(2 * len(GRID)) % 2,
        template=TEMPLATE,
    )
    fitted = shifted(-seen_dx)
    return SimpleNamespace(
        reference=reference,
        motion=SimpleNamespace(
            parameters=parameters, inliers=np.ones((N_FRAMES, 2 * len(GRID)), bool)
        ),
        tracks=SimpleNamespace(start=STILL),
        similarity=np.stack(3 * [fitted]),
        matrix=fitted,
        variance=np.square(np.broadcast_to(error, N_FRAMES)),
    )


def in_frame(number: int, value: float) -> np.ndarray:
    found = np.zeros(N_FRAMES)
    found[number] = value
    return found


def test_a_step_of_the_landmarks_is_what_the_skin_shows() -> None:
    found = stillness([view(np.zeros(N_FRAMES))], shifted(in_frame(4, 1.0)))
    assert found.jitter == pytest.approx(np.sqrt(2 / (N_FRAMES - 1)))
    assert found.drift == pytest.approx(in_frame(4, 1.0).std())


def test_what_the_tracks_saw_and_the_alignment_undid_is_no_motion() -> None:
    moving = np.linspace(0.0, 5.0, N_FRAMES)
    found = held_out_stillness([view(moving)], shifted(-moving), TEMPLATE)
    assert found == pytest.approx((0.0, 0.0), abs=1e-9)


def test_a_bad_judge_is_heard_only_where_the_path_leaves_that_of_the_others() -> None:
    bad = in_frame(4, 0.5) + 0.01
    misled = view(in_frame(4, 3.0), bad)
    stayed = held_out_stillness([misled], STILL, TEMPLATE)
    assert stayed == pytest.approx((0.0, 0.0), abs=1e-9)
    followed = held_out_stillness(
        [view(np.zeros(N_FRAMES), bad)], shifted(in_frame(4, 3.0)), TEMPLATE
    )
    assert followed.drift == pytest.approx(np.sqrt(9 / N_FRAMES))
    sure = held_out_stillness([view(in_frame(4, 3.0))], STILL, TEMPLATE)
    assert sure.drift > 0.8


def test_frames_without_tracks_count_by_the_way_they_left_the_path() -> None:
    lost = np.full(N_FRAMES, 0.01)
    lost[4] = np.inf
    found = held_out_stillness(
        [view(np.zeros(N_FRAMES), lost)], shifted(in_frame(4, 2.0)), TEMPLATE
    )
    assert found.drift == pytest.approx(np.sqrt(4 / N_FRAMES))
    assert found.jitter == pytest.approx(np.sqrt(8 / (N_FRAMES - 1)))


def test_skin_is_judged_by_the_fit_to_the_other_half() -> None:
    judge = view(np.zeros(N_FRAMES))
    judge.motion.parameters[1, 1::2, 0, 0] += 1.0  # what fold 0 alone has seen,
    judge.similarity[1, 1::2, 0, 2] -= 1.0  # and the fit to it would undo
    assert held_out_stillness([judge], STILL, TEMPLATE) == pytest.approx((1.0, 0.5))


def test_what_the_alignment_did_beyond_the_fit_counts() -> None:
    beyond = shifted(np.arange(N_FRAMES) % 2 * 0.5)
    found = held_out_stillness([view(np.zeros(N_FRAMES))], beyond, TEMPLATE)
    assert found == pytest.approx((0.5, 0.25))


def test_what_lies_between_frames_with_tracks_is_expected_on_their_path() -> None:
    moving = np.linspace(0.0, 9.0, N_FRAMES)
    lost = np.where(np.isin(np.arange(N_FRAMES), (4, 5)), np.inf, 0.01)
    found = held_out_stillness([view(moving, lost)], shifted(-moving), TEMPLATE)
    assert found == pytest.approx((0.0, 0.0), abs=1e-9)


def test_a_frame_without_a_face_counts_neither_for_nor_against() -> None:
    matrix = STILL.copy()
    matrix[4] = np.nan
    error = np.where(np.arange(N_FRAMES) == 4, np.inf, 0.01)
    found = held_out_stillness([view(np.zeros(N_FRAMES), error)], matrix, TEMPLATE)
    assert found == pytest.approx((0.0, 0.0), abs=1e-9)


def test_a_face_that_stands_elsewhere_in_another_view_does_not_stand_still() -> None:
    late = np.arange(N_FRAMES) >= N_FRAMES // 2
    first = view(np.where(late, 1.0, 0.0), np.where(late, 0.02, 0.01))
    other = view(np.zeros(N_FRAMES), np.where(late, 0.01, np.inf))
    found = stillness([first, other], STILL)
    assert 0.1 < found.drift < 0.5


@pytest.mark.parametrize("known", [0, 1])
def test_one_frame_tells_of_no_motion(known: int) -> None:
    error = np.full(N_FRAMES, np.inf)
    error[:known] = 0.01
    if known:
        found = held_out_stillness([view(np.zeros(N_FRAMES), error)], STILL, TEMPLATE)
        assert np.isnan(found).all()
    assert np.isnan(stillness([view(np.zeros(N_FRAMES), error)], STILL).jitter)
