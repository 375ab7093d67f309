"""Similarities are recovered, composed, inverted and interpolated as the plane's algebra says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmedprep.geometry import (
    Template,
    apply,
    compose,
    cut_seen,
    fit_similarity,
    interpolate_similarities,
    invert,
    resize,
    scale_of,
)
from cmedprep.landmarks import LEFT_EYE, RIGHT_EYE, eye_centres, inter_ocular_distance

CENTRE = np.array([111.5, 111.5])

similarities = st.builds(
    lambda scale, angle, x, y: similarity(scale, angle, (x, y)),
    st.floats(0.1, 10),
    st.floats(-np.pi, np.pi),
    st.floats(-500, 500),
    st.floats(-500, 500),
)


def similarity(scale: float, angle: float, shift: tuple[float, float]) -> np.ndarray:
    """Turn by `angle` (radians, from x to y), scale and shift."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


def looking_at(point: np.ndarray, scale: float, angle: float) -> np.ndarray:
    """Return the similarity that brings `point` to the crop's centre."""
    turn = similarity(scale, angle, (0.0, 0.0))
    turn[:, 2] = CENTRE - turn[:, :2] @ point
    return turn


def points(n: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 600, (n, 2))


# --- fitting ---------------------------------------------------------------------------------


@given(similarities)
def test_a_known_similarity_is_recovered(matrix: np.ndarray) -> None:
    np.testing.assert_allclose(
        fit_similarity(points(), apply(matrix, points())), matrix, rtol=1e-9, atol=1e-7
    )


def test_two_points_determine_it_exactly() -> None:
    source, target = points(2), np.array([[10.0, 20.0], [90.0, 35.0]])
    np.testing.assert_allclose(apply(fit_similarity(source, target), source), target, atol=1e-9)


def test_the_fit_is_the_least_squares_solution() -> None:
    rng = np.random.default_rng(1)
    source, target = points(), points() * 1.3 + rng.normal(0, 5, (8, 2))
    weights = rng.uniform(0.1, 1, 8)
    x, y = source.T
    one, zero = np.ones(8), np.zeros(8)
    design = np.stack([np.c_[x, -y, one, zero], np.c_[y, x, zero, one]], axis=1).reshape(16, 4)
    root = np.repeat(np.sqrt(weights), 2)
    a, b, tx, ty = np.linalg.lstsq(design * root[:, None], target.reshape(-1) * root)[0]
    np.testing.assert_allclose(
        fit_similarity(source, target, weights), [[a, -b, tx], [b, a, ty]], atol=1e-9
    )


def test_a_point_without_weight_has_no_say() -> None:
    matrix = similarity(1.2, 0.3, (5, -7))
    target = apply(matrix, points())
    target[3] += 100
    weights = np.ones(8)
    weights[3] = 0
    np.testing.assert_allclose(fit_similarity(points(), target, weights), matrix, atol=1e-9)


def test_mirrored_points_are_never_fitted_by_a_reflection() -> None:
    matrix = fit_similarity(points(), points() * [-1, 1])
    assert np.linalg.det(matrix[:, :2]) >= 0


def test_frames_are_fitted_each_by_itself() -> None:
    matrices = np.stack([similarity(1 + i / 5, i / 3, (i, -i)) for i in range(5)])
    sources = np.stack([points(seed=i) for i in range(5)])
    np.testing.assert_allclose(
        fit_similarity(sources, apply(matrices, sources)), matrices, atol=1e-9
    )


@pytest.mark.parametrize("place", [(0.0, 0.0), (3.0, 4.0), (0.1, 0.7)])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_points_in_one_place_determine_nothing(n: int, place: tuple[float, float]) -> None:
    assert np.isnan(fit_similarity(np.tile(place, (n, 1)), points(n))).all()


def test_a_frame_of_nan_gives_nan_and_leaves_the_others_be() -> None:
    source = np.stack([points(), np.full((8, 2), np.nan)])
    found = fit_similarity(source, np.stack([points(), points()]))
    np.testing.assert_allclose(found[0], similarity(1, 0, (0, 0)), atol=1e-9)
    assert np.isnan(found[1]).all()


def test_single_precision_loses_nothing_but_its_own() -> None:
    matrix = similarity(0.5, 0.1, (30, 40))
    found = fit_similarity(points().astype(np.float32), apply(matrix, points()))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, matrix, rtol=1e-4, atol=1e-4)


# --- algebra ---------------------------------------------------------------------------------


def test_a_transform_is_applied_as_documented() -> None:
    matrix, p = similarity(1.5, 0.4, (3, 4)), points(1)
    np.testing.assert_allclose(apply(matrix, p)[0], matrix[:, :2] @ p[0] + matrix[:, 2])


def test_a_quarter_turn_goes_from_x_to_y() -> None:
    np.testing.assert_allclose(
        apply(similarity(1, np.pi / 2, (0, 0)), np.array([[1.0, 0.0]])), [[0, 1]], atol=1e-12
    )


@given(similarities, similarities)
def test_a_composition_applies_one_after_the_other(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_allclose(
        apply(compose(a, b), points()), apply(a, apply(b, points())), rtol=1e-9, atol=1e-6
    )
    assert scale_of(compose(a, b)) == pytest.approx(scale_of(a) * scale_of(b))


@given(similarities)
def test_the_inverse_leads_back(matrix: np.ndarray) -> None:
    np.testing.assert_allclose(
        apply(invert(matrix), apply(matrix, points())), points(), rtol=1e-7, atol=1e-5
    )


def test_stacks_of_transforms_work_like_single_ones() -> None:
    a = np.stack([similarity(1 + i, i, (i, i)) for i in range(4)])
    b = a[::-1]
    for i in range(4):
        np.testing.assert_allclose(compose(a, b)[i], compose(a[i], b[i]))
        np.testing.assert_allclose(invert(a)[i], invert(a[i]))
        np.testing.assert_allclose(scale_of(a)[i], 1 + i)


@pytest.mark.parametrize(("size", "new"), [(224, 112), (224, 448), (100, 33), (64, 64)])
def test_resizing_keeps_the_images_edges_together(size: int, new: int) -> None:
    corners = np.array([[-0.5, -0.5], [size - 0.5, -0.5], [size - 0.5, size - 0.5]])
    expected = np.array([[-0.5, -0.5], [new - 0.5, -0.5], [new - 0.5, new - 0.5]])
    np.testing.assert_allclose(apply(resize(size, new), corners), expected, atol=1e-12)


# --- the template ----------------------------------------------------------------------------


def test_the_template_is_the_designs() -> None:
    np.testing.assert_allclose(Template().eyes, [[67, 90], [157, 90]])


def test_a_template_comes_from_the_config() -> None:
    template = Template.from_config({"size": 96, "inter_ocular": 40, "eye_midpoint": [48, 38]})
    assert template == Template(96, 40.0, (48.0, 38.0))
    assert np.diff(template.eyes[:, 0]) == 40


def test_an_eyes_centre_is_the_midpoint_of_its_corners() -> None:
    landmarks = np.zeros((2, 478, 3), np.float32)
    landmarks[:, RIGHT_EYE, :2] = [[100, 50], [120, 54]]
    landmarks[:, LEFT_EYE, :2] = [[160, 54], [180, 50]]
    np.testing.assert_allclose(eye_centres(landmarks)[0], [[110, 52], [170, 52]])
    np.testing.assert_allclose(inter_ocular_distance(landmarks), [60, 60])


# --- what a crop sees ------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0, 3])
@pytest.mark.parametrize("shape", [(60, 90, 3), (90, 60, 3)])
@pytest.mark.parametrize("at", [(20, 10), (0, 0), (-7, 5), (70, 45), (45, 70), (-30, 0), (200, 0)])
def test_what_a_crop_sees_is_cut_out_with_its_margin_as_far_as_there_is_any(
    at: tuple[int, int], shape: tuple[int, int, int], margin: int
) -> None:
    (x, y), size = at, 20
    frame = np.arange(np.prod(shape)).reshape(shape)
    part, matrix = cut_seen(frame, similarity(1.0, 0.0, (-x, -y)), size, margin)
    rows, columns = (slice(max(i - margin, 0), max(i + size + margin, 0)) for i in (y, x))
    np.testing.assert_array_equal(part, frame[rows, columns])
    if part.size:
        np.testing.assert_allclose(
            apply(matrix, np.zeros((1, 2))), [[columns.start - x, rows.start - y]]
        )


def test_all_that_a_turned_crop_sees_is_cut_out() -> None:
    frame, turned = np.zeros((400, 300)), similarity(0.8, 0.5, (0.0, 0.0))
    turned[:, 2] = 49.5 - turned[:, :2] @ [150.0, 200.0]
    part, matrix = cut_seen(frame, turned, 100, margin=0)
    corners = np.array([[0.0, 0], [99, 0], [0, 99], [99, 99]])
    inside = apply(invert(matrix), corners)
    assert (inside >= 0).all()
    assert (inside <= np.array(part.shape[::-1]) - 1).all()
    assert max(part.shape) < 180
    there = apply(compose(invert(turned), matrix), np.zeros((1, 2)))
    np.testing.assert_allclose(there, np.round(there), atol=1e-9)  # a shift by whole pixels


# --- interpolation ---------------------------------------------------------------------------


def steady_views(n: int) -> np.ndarray:
    """Make a camera that pans, zooms and turns at a constant pace."""
    t = np.arange(n)[:, None]
    aim = np.array([300.0, 200.0]) + t * [3.0, -2.0]
    return np.stack([looking_at(aim[i], 0.6 * 1.01**i, np.radians(-8 + 1.5 * i)) for i in range(n)])


@pytest.mark.parametrize("gap", [slice(3, 4), slice(3, 6), slice(1, 9), slice(0, 0)])
def test_constant_motion_is_bridged_exactly(gap: slice) -> None:
    truth = steady_views(10)
    seen = truth.copy()
    seen[gap] = np.nan
    np.testing.assert_allclose(interpolate_similarities(seen, CENTRE), truth, rtol=1e-9, atol=1e-7)


def test_a_turn_goes_the_short_way_round() -> None:
    truth = np.stack([looking_at(CENTRE, 1, np.radians(a)) for a in (170, 180, 190)])
    seen = truth.copy()
    seen[1] = np.nan
    np.testing.assert_allclose(interpolate_similarities(seen, CENTRE), truth, atol=1e-9)


def test_nothing_is_invented_before_the_first_and_after_the_last() -> None:
    seen = steady_views(10)
    seen[[0, 1, 5, 9]] = np.nan
    filled = interpolate_similarities(seen, CENTRE)
    assert np.isnan(filled[[0, 1, 9]]).all()
    assert not np.isnan(filled[2:9]).any()


def test_known_transforms_and_the_input_stay_as_they_are() -> None:
    seen = steady_views(10)
    seen[4:6] = np.nan
    before = seen.copy()
    filled = interpolate_similarities(seen, CENTRE)
    np.testing.assert_array_equal(seen, before)
    known = ~np.isnan(before[:, 0, 0])
    np.testing.assert_array_equal(filled[known], before[known])


@pytest.mark.parametrize("known", [0, 1])
def test_too_few_transforms_are_left_alone(known: int) -> None:
    seen = steady_views(5)
    seen[known:] = np.nan
    np.testing.assert_array_equal(interpolate_similarities(seen, CENTRE), seen)


@settings(max_examples=30, deadline=None)
@given(st.lists(similarities, min_size=2, max_size=6), st.integers(1, 5))
def test_what_is_interpolated_is_a_similarity_between_its_neighbours(
    known: list[np.ndarray], gap: int
) -> None:
    seen = np.full(((len(known) - 1) * (gap + 1) + 1, 2, 3), np.nan)
    seen[:: gap + 1] = known
    filled = interpolate_similarities(seen, CENTRE)
    np.testing.assert_allclose(filled[:, 0, 0], filled[:, 1, 1])
    np.testing.assert_allclose(filled[:, 0, 1], -filled[:, 1, 0])
    scales = scale_of(filled)
    for i in range(len(known) - 1):
        low, high = sorted(scales[[i * (gap + 1), (i + 1) * (gap + 1)]])
        between = scales[i * (gap + 1) : (i + 1) * (gap + 1) + 1]
        assert (between >= low * (1 - 1e-9)).all()
        assert (between <= high * (1 + 1e-9)).all()
