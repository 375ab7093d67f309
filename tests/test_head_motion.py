"""The motion of a head is read off tracks of its skin, whatever else moves in them."""

import numpy as np
import pytest

from cmedprep.geometry import Template, apply, from_complex
from cmedprep.motion import fit_motion, median_of, trusted, undo
from cmedprep.reference import MIN_TRACKS, Reference

TEMPLATE = Template()
UNIT = TEMPLATE.inter_ocular
SIDE = 10  # tracks in a row
N_TRACKS = SIDE**2


def design_of(points: np.ndarray) -> np.ndarray:
    """Return ``[1 x y z]`` of points on a face that is curved like a cylinder."""
    place = (points - TEMPLATE.eye_midpoint) / UNIT
    depth = 0.4 * np.square(place[:, 0])
    return np.column_stack([np.ones(len(points)), place, depth - depth.mean()])


def make_reference(n_tracks: int = N_TRACKS) -> Reference:
    """Make a reference with tracks on a lattice, 5 x 5 parts of 2 x 2 tracks each."""
    rows, columns = np.divmod(np.arange(N_TRACKS), SIDE)
    points = np.column_stack([50 + 13.0 * columns, 40 + 13.0 * rows])
    target = points + 3.0
    kept = slice(None, n_tracks)
    return Reference(
        image=np.zeros((TEMPLATE.size, TEMPLATE.size), np.uint8),
        points=points[kept],
        information=np.broadcast_to(np.eye(2) * 100.0, (N_TRACKS, 2, 2))[kept].copy(),
        design=design_of(points)[kept],
        target_design=design_of(target),
        target=target,
        fold=((rows + columns) % 2)[kept],
        block=(rows // 2 * 5 + columns // 2)[kept],
        shape=np.zeros((478, 3)),
        template=TEMPLATE,
    )


REFERENCE = make_reference()
EVERY = np.ones((1, N_TRACKS), bool)
TURN = np.array([[2.0, -1.0], [1.5, 0.8], [-0.7, 1.2], [4.0, -3.0]])
"""Parameters of a head that shifts, turns and shows another side of itself."""


def noise(sigma: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sigma, (1, N_TRACKS, 2))


def skin_error(parameters: np.ndarray, truth: np.ndarray) -> float:
    """Return the RMS distance over the skin of two motions."""
    apart = REFERENCE.target_design @ (parameters - truth)
    return float(np.sqrt(np.square(apart).sum(axis=-1).mean()))


def test_a_turning_head_is_measured_with_its_parallax() -> None:
    motion = fit_motion(REFERENCE, (REFERENCE.design @ TURN)[None], EVERY)
    for parameters in motion.parameters[:, 0]:
        assert skin_error(parameters, TURN) < 0.01
    assert motion.inliers.all()
    assert motion.residual_px[0] < 0.01
    assert motion.error_px[0] < 0.01


def test_what_moves_on_its_own_has_no_say() -> None:
    flow = (REFERENCE.design @ TURN)[None] + noise(0.03)
    smile = np.isin(REFERENCE.block, (16, 17, 21, 22))  # 16 tracks of one part of the face
    flow[0, smile] += [3.0, -2.0]
    motion = fit_motion(REFERENCE, flow, EVERY)
    assert skin_error(motion.parameters[0, 0], TURN) < 0.05
    assert not motion.inliers[0, smile].any()
    assert motion.inliers[0, ~smile].all()
    assert motion.residual_px[0] < 0.1
    assert (motion.weight[0, ~smile] > 0.5).all()


def test_a_track_that_was_not_found_has_no_say_whatever_it_holds() -> None:
    flow = (REFERENCE.design @ TURN)[None]
    found = np.random.default_rng(0).random((1, N_TRACKS)) < 0.6
    whole = fit_motion(REFERENCE, np.where(found[..., None], flow, 0.3), found)
    other = fit_motion(REFERENCE, np.where(found[..., None], flow, 99.0), found)
    np.testing.assert_array_equal(whole.parameters, other.parameters)
    assert skin_error(whole.parameters[0, 0], TURN) < 0.01
    assert (whole.weight[~found] == 0).all()


def test_an_edge_has_a_say_across_it_and_none_along() -> None:
    edges = make_reference()
    half = np.arange(N_TRACKS) % 2 == 0
    edges.information[half] = np.diag([100.0, 1e-4])  # the texture of a vertical edge
    flow = (edges.design @ TURN)[None]
    flow[0, half, 1] += 0.1
    assert skin_error(fit_motion(edges, flow, EVERY).parameters[0, 0], TURN) < 0.01
    assert skin_error(fit_motion(REFERENCE, flow, EVERY).parameters[0, 0], TURN) > 0.04


def test_each_fold_is_fitted_without_the_other() -> None:
    still = np.zeros((1, N_TRACKS, 2))
    still[0, REFERENCE.fold == 1, 0] = 0.05
    _, first, second = fit_motion(REFERENCE, still, EVERY).parameters[:, 0]
    np.testing.assert_allclose(first[0], [0, 0], atol=0.005)
    np.testing.assert_allclose(second[0], [0.05, 0], atol=0.005)


@pytest.mark.parametrize(("sigma", "least", "most"), [(0.02, 0.8, 1.0), (0.1, 0.5, 0.6)])
def test_the_standard_error_falls_as_short_of_the_truth_as_documented(
    sigma: float, least: float, most: float
) -> None:
    fits = [fit_motion(REFERENCE, noise(sigma, seed), EVERY) for seed in range(60)]
    errors = [skin_error(fit.parameters[0, 0], np.zeros((4, 2))) for fit in fits]
    stated = np.mean([fit.error_px[0] for fit in fits])
    assert least < stated / np.sqrt(np.mean(np.square(errors))) < most


def test_the_residual_is_that_of_tracks_that_move_with_the_head() -> None:
    residuals = [fit_motion(REFERENCE, noise(0.02, seed), EVERY).residual_px for seed in range(60)]
    assert np.mean(residuals) == pytest.approx(0.02 * np.sqrt(2), rel=0.1)


def test_tracks_that_err_together_are_less_sure_than_those_that_err_apart() -> None:
    together = np.random.default_rng(0).normal(0, 0.1, (1, 25, 2))[:, REFERENCE.block]
    sure, unsure = (fit_motion(REFERENCE, flow, EVERY) for flow in (noise(0.1), together))
    assert unsure.error_px[0] > 1.5 * sure.error_px[0]


def test_without_tracks_nothing_is_known() -> None:
    motion = fit_motion(REFERENCE, np.zeros((1, N_TRACKS, 2)), ~EVERY)
    assert np.isnan(motion.residual_px).all()
    assert np.isnan(motion.error_px).all()
    assert not trusted(REFERENCE, motion).any()


@pytest.mark.parametrize(("n_tracks", "enough"), [(MIN_TRACKS, True), (MIN_TRACKS - 1, False)])
def test_few_tracks_are_not_to_be_trusted(n_tracks: int, enough: bool) -> None:
    found = np.zeros((1, N_TRACKS), bool)
    found[0, np.linspace(0, N_TRACKS - 1, n_tracks).astype(int)] = True  # in many parts
    motion = fit_motion(REFERENCE, noise(0.02), found)
    assert motion.inliers.sum() == n_tracks
    assert trusted(REFERENCE, motion).tolist() == [enough]


@pytest.mark.parametrize(("parts", "enough"), [(9, True), (8, False)])
def test_tracks_of_a_third_of_the_face_are_needed(parts: int, enough: bool) -> None:
    found = (REFERENCE.block < parts)[None]
    motion = fit_motion(REFERENCE, noise(0.02), found)
    assert motion.inliers.sum() == 4 * parts > MIN_TRACKS
    assert trusted(REFERENCE, motion).tolist() == [enough]


def test_tracks_that_contradict_each_other_are_not_to_be_trusted() -> None:
    sure, unsure = (fit_motion(REFERENCE, noise(sigma), EVERY) for sigma in (0.5, 8.0))
    assert unsure.inliers.sum() >= MIN_TRACKS
    assert trusted(REFERENCE, sure).tolist() == [True]
    assert trusted(REFERENCE, unsure).tolist() == [False]


def test_a_motion_in_the_plane_is_undone_exactly() -> None:
    a, b = 1.02 * np.exp(0.03j), 3.0 - 2.0j
    moved = apply(from_complex(np.array(a), np.array(b)), REFERENCE.points)
    motion = fit_motion(REFERENCE, (moved - REFERENCE.points)[None], EVERY)
    back = undo(REFERENCE, motion.parameters[0, 0])
    np.testing.assert_allclose(apply(back, moved), REFERENCE.points, atol=0.01)


def test_the_median_is_of_what_is_known() -> None:
    values = np.array([[[1.0], [9.0], [3.0], [2.0]]] * 4)
    known = np.array([[1, 0, 1, 1], [1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]], bool)
    assert median_of(values, known)[:, 0, 0].tolist() == [2, 2, 9, 0]
