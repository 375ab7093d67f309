"""Several views of a clip become one alignment."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from cmedprep import stabilise as module
from cmedprep.geometry import apply, compose, from_complex
from cmedprep.motion import fit_motion, undo
from cmedprep.stabilise import stabilise
from cmedprep.tracks import Tracks
from cmedprep.views import View, disagreement, join
from tests.test_head_motion import N_TRACKS, REFERENCE, TEMPLATE

N = 12
FIRST, SECOND = np.arange(N) < 7, np.arange(N) >= 5  # the frames that each view can judge
OFFSET = from_complex(np.array(1.0 + 0j), np.array(2.0 - 1.0j))
CORNERS = np.broadcast_to([[60.0, 60], [160, 60], [60, 160]], (N, 3, 2))


def path(roughness: float = 0.0, seed: int = 0) -> np.ndarray:
    """Return matrices (n, 2, 3) of a head that turns and shifts, and trembles by some px."""
    time, noise = np.arange(N), np.random.default_rng(seed).normal(0, 1, (N, 2)) @ [1, 1j]
    return from_complex(
        0.9 * np.exp(0.005j * time), 20 + 0.5 * time - 10j + roughness * noise / np.sqrt(2)
    )


TRUTH = path()


def view_of(matrix: np.ndarray, judged: np.ndarray, n_found: int = N_TRACKS) -> View:
    """Return a view that sees the head stand still under a matrix."""
    found = np.zeros((N, N_TRACKS), bool)
    found[:, np.linspace(0, N_TRACKS - 1, n_found).astype(int)] = True
    flow = np.zeros((N, N_TRACKS, 2))
    motion = fit_motion(REFERENCE, flow, found)
    motion = replace(motion, residual_px=np.full(N, n_found / 100), error_px=np.full(N, 0.02))
    similarity = undo(REFERENCE, motion.parameters)
    variance = np.where(judged, 0.02**2, np.inf)
    return View(
        REFERENCE, Tracks(matrix, flow, found, np.zeros(N)), motion, similarity, matrix, variance
    )


def no_frames() -> Iterator[np.ndarray]:
    raise AssertionError("the views have looked at them")


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the distance of corners under two paths, shape (n, 3)."""
    return np.linalg.norm(apply(one, CORNERS) - apply(other, CORNERS), axis=-1)


def test_views_are_brought_together_by_the_frames_that_both_have_seen() -> None:
    first, second = view_of(TRUTH, FIRST), view_of(compose(OFFSET, TRUTH), SECOND)
    joined = join([first, second])
    np.testing.assert_array_equal(joined[0], TRUTH)
    assert apart(joined[1], TRUTH).max() < 0.01


def test_views_of_no_common_frame_stand_where_their_landmarks_are() -> None:
    first, second = view_of(TRUTH, FIRST), view_of(compose(OFFSET, TRUTH), ~FIRST)
    np.testing.assert_allclose(join([first, second])[1], compose(OFFSET, TRUTH))


def test_the_better_of_two_measurements_has_the_greater_say_in_where_a_view_stands() -> None:
    seen = compose(OFFSET, TRUTH)
    seen[6] = compose(OFFSET, seen[6])  # one of the two common frames is off by as much again
    poor, good = view_of(seen, SECOND), view_of(seen, SECOND)
    poor.variance[6], good.variance[5] = 100.0, 100.0
    first = view_of(TRUTH, FIRST)
    assert apart(join([first, poor])[1], TRUTH)[8].max() < 0.02
    assert apart(join([first, good])[1], TRUTH)[8].min() > 2.0


def test_disagreement_is_how_far_landmarks_are_from_the_tracks() -> None:
    coarse = compose(np.broadcast_to(OFFSET, TRUTH.shape), TRUTH)
    found = disagreement(view_of(TRUTH, FIRST), coarse)
    np.testing.assert_allclose(found[FIRST], np.hypot(2, 1), rtol=1e-9)
    assert np.isnan(found[~FIRST]).all()


@pytest.mark.parametrize("order", [1, -1])
def test_each_frame_is_of_the_view_that_knows_it_best(
    monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    lost = np.arange(N) == 9
    first = view_of(TRUTH, FIRST, 80)
    second = view_of(compose(OFFSET, TRUTH), SECOND & ~lost, 60)
    first.variance[5:7], second.variance[5:7] = [0.01**2, 0.04**2], [0.04**2, 0.01**2]
    monkeypatch.setattr(module, "views_of", lambda *_: [first, second][::order])
    coarse = path(roughness=0.3)
    done = stabilise(no_frames, np.zeros((N, 478, 3)), coarse, TEMPLATE)
    assert done.refined.tolist() == (~lost).tolist()
    n_tracks = np.where(np.arange(N) < 6, 80, 60)
    np.testing.assert_array_equal(done.n_tracks[~lost], n_tracks[~lost])
    np.testing.assert_array_equal(done.n_inliers, done.n_tracks)
    np.testing.assert_allclose(done.residual_px[~lost], n_tracks[~lost] / 100)
    # Relative to the first view's reference, which stands where its landmarks are.
    stands = np.broadcast_to(OFFSET if order < 0 else np.eye(2, 3), TRUTH.shape)
    assert apart(done.matrix, compose(stands, TRUTH))[~lost].max() < 0.1
    assert done.residual_jitter_px < 0.3 * done.landmark_jitter_px
