"""Temporal interpolation is Zhou's model, and holds where its own procedure fails."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from cmedprep.interpolation import interpolate, tim_weights


def by_the_paper(frames: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Synthesise images as the model is defined: frames (n, pixels), places from 0 to n - 1.

    The frames less their mean are reduced by a singular value decomposition. The linear graph
    embedding of the path is a generalised eigenproblem there. Its curves are continued, and the
    embedding is inverted.
    """
    n = len(frames)
    mean = frames.mean(axis=0)
    basis, values, others = np.linalg.svd((frames - mean).T, full_matrices=False)
    basis, reduced = basis[:, : n - 1], (values[:, None] * others)[: n - 1]
    links = np.eye(n, k=1) + np.eye(n, k=-1)
    laplacian = np.diag(links.sum(axis=0)) - links
    _, maps = scipy.linalg.eigh(reduced @ laplacian @ reduced.T, reduced @ reduced.T)
    k = np.arange(1, n)

    def curve(t: float) -> np.ndarray:
        return np.sin(np.pi * k * t + np.pi * (n - k) / (2 * n))

    scale = (maps.T @ reduced)[:, 0] / curve(1 / n)
    inverse = np.linalg.inv(maps.T)
    return np.array(
        [basis @ (inverse @ (scale * curve((place + 1) / n))) + mean for place in places]
    )


def pattern(moments: np.ndarray, reach: float = 6.0) -> np.ndarray:
    """Return pictures, (n, 24, 48, 3), of a texture that moves to and almost fro in 60 frames."""
    x, y = np.meshgrid(np.arange(48.0), np.arange(24.0))
    turns = np.asarray(moments) / 60
    shifts = reach * ((1 - np.cos(2 * np.pi * turns)) / 2 + 0.37 * turns)  # no two are the same
    return np.array(
        [
            np.dstack([127.5 + 100 * np.sin(2 * np.pi * (x - s) / p + y / 9) for p in (17, 23, 31)])
            for s in shifts
        ]
    )


def rmse(images: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((images - truth) ** 2)))


@pytest.mark.parametrize("n", [2, 3, 4, 7, 12, 30])
def test_the_closed_form_gives_what_the_papers_own_procedure_gives(n: int) -> None:
    frames = np.random.default_rng(n).uniform(0, 255, (n, 300))
    places = np.linspace(0, n - 1, 41)
    ours = tim_weights(range(n), places) @ frames
    assert np.abs(ours - by_the_paper(frames, places)).max() < 1e-6


def test_the_closed_form_gives_the_papers_images_of_a_moving_pattern() -> None:
    frames = pattern(np.arange(0, 60, 5), reach=9).reshape(12, -1)
    rng = np.random.default_rng(0)
    frames += rng.normal(0, 1, frames.shape)  # as any camera does: no frame is a mixture of others
    places = np.linspace(0, 11, 31)
    assert np.abs(tim_weights(range(12), places) @ frames - by_the_paper(frames, places)).max() < (
        1e-6
    )


def test_weights_are_the_sum_of_cosines_from_which_they_come() -> None:
    for n in (2, 5, 70, 301):
        places = np.random.default_rng(n).uniform(0, n - 1, 25)
        angles, nodes = np.pi * (places + 0.5) / n, np.pi * (np.arange(n) + 0.5) / n
        k = np.arange(1, n)
        cosines = np.cos(np.outer(angles, k)) @ np.cos(np.outer(k, nodes))
        assert np.allclose(tim_weights(range(n), places), (1 + 2 * cosines) / n, atol=1e-9)


clips = st.sets(st.integers(0, 300), min_size=1, max_size=40).map(sorted)


@settings(deadline=None)
@given(clips, st.lists(st.floats(-10, 310), max_size=20))
def test_weights_sum_to_exactly_one_in_any_order(nodes: list[int], places: list[float]) -> None:
    weights = tim_weights(nodes, places)
    assert weights.shape == (len(places), len(nodes))
    assert np.array_equal(weights.sum(axis=1), np.ones(len(places)))
    assert np.array_equal(weights[:, ::-1].sum(axis=1), np.ones(len(places)))
    assert np.array_equal(weights * 2**36, np.rint(weights * 2**36))


@given(clips)
def test_at_a_node_its_frame_has_all_the_weight(nodes: list[int]) -> None:
    assert np.array_equal(tim_weights(nodes, nodes), np.eye(len(nodes)))


@given(clips, st.floats(0, 50))
def test_beyond_the_ends_the_end_frames_stay(nodes: list[int], beyond: float) -> None:
    weights = tim_weights(nodes, [nodes[0] - beyond, nodes[-1] + beyond])
    assert np.array_equal(weights, np.eye(len(nodes))[[0, -1]])


@settings(deadline=None)
@given(clips, st.lists(st.floats(0, 300), min_size=1, max_size=10))
def test_a_clip_played_backwards_has_its_weights_backwards(
    nodes: list[int], places: list[float]
) -> None:
    there = tim_weights(nodes, places)
    back = tim_weights([300 - node for node in reversed(nodes)], [300 - p for p in places])
    assert np.allclose(there, back[:, ::-1], rtol=0, atol=1e-6)


@settings(deadline=None)
@given(clips, st.floats(0, 300), st.floats(-1e-10, 1e-10))
def test_weights_do_not_jump(nodes: list[int], place: float, step: float) -> None:
    here, near = tim_weights(nodes, [place, place + step])
    assert np.abs(here - near).max() < 1e-8


def test_between_nodes_the_curve_runs_at_constant_speed() -> None:
    """The nodes 0, 1, 2 of the curve are at frames 0, 10, 12."""
    gapped = tim_weights([0, 10, 12], [2.5, 5.0, 11.0])
    assert np.array_equal(gapped, tim_weights([0, 1, 2], [0.25, 0.5, 1.5]))


def test_one_node_is_a_still_and_two_are_mixed() -> None:
    assert tim_weights([7], [0, 6.5, 7, 90]).tolist() == [[1.0]] * 4
    assert tim_weights([3, 5], [4]).tolist() == [[0.5, 0.5]]
    # of two, c = 1/2 + cos(pi/4) cos(theta), and theta = 3 pi / 8 at a quarter of the way
    share = 0.5 + np.cos(np.pi / 4) * np.cos(3 * np.pi / 8)
    assert tim_weights([0, 1], [0.25])[0] == pytest.approx([share, 1 - share])


def test_thousands_of_frames_need_no_square_of_memory() -> None:
    places = np.linspace(0, 4999, 11) + 0.3
    tracemalloc.start()
    weights = tim_weights(range(5000), places)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6
    line = np.arange(5000) / 5000  # a steady change of brightness, far from the ends
    assert weights[1:-1] @ line == pytest.approx(places[1:-1] / 5000, abs=1e-3)
    assert np.abs(weights).sum(axis=1).max() < 1 + 2 / np.pi * np.log(5000)


@pytest.mark.parametrize("nodes", [[], [1, 1], [2, 1], [[0, 1]]])
def test_nodes_that_do_not_rise_are_refused(nodes: list) -> None:
    with pytest.raises(ValueError, match="nodes must be rising numbers"):
        tim_weights(nodes, [0.0])


@pytest.mark.parametrize("position", [float("nan"), float("inf")])
def test_positions_that_are_no_numbers_are_refused(position: float) -> None:
    with pytest.raises(ValueError, match="positions must be finite"):
        tim_weights([0, 1], [position])


def test_a_slot_on_a_frame_is_that_frame() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (9, 6, 5, 3), dtype=np.uint8)
    nodes = [2, 3, 5, 8, 9, 10, 20, 21, 30]
    assert np.array_equal(interpolate(frames, tim_weights(nodes, nodes)), frames)
    assert np.array_equal(interpolate(frames, tim_weights(nodes, [0, 8, 99])), frames[[0, 3, 8]])


def test_what_does_not_move_does_not_change() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    images = interpolate([frame] * 40, tim_weights(range(40), np.linspace(0, 39, 33)))
    assert np.array_equal(images, np.broadcast_to(frame, images.shape))


def test_sums_are_rounded_half_to_even_and_clipped() -> None:
    frames = [np.full((1, 1, 3), value, np.uint8) for value in (0, 255, 254, 1)]
    weights = np.array([[0.5, 0.5, 0, 0], [0.5, 0, 0, 0.5], [0, -1, 2, 0], [0, 2, -1, 0]])
    assert interpolate(frames, weights)[:, 0, 0, 0].tolist() == [128, 0, 253, 255]
    assert interpolate(frames, -weights)[:, 0, 0, 0].tolist() == [0, 0, 0, 0]


def test_the_order_of_the_frames_does_not_touch_a_bit() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)
    weights = tim_weights(range(50), np.linspace(0, 49, 23))
    order = rng.permutation(50)
    assert np.array_equal(
        interpolate(frames, weights), interpolate(frames[order], weights[:, order])
    )


def test_images_are_taken_one_at_a_time() -> None:
    alive: list[int] = []

    class Image(np.ndarray):
        def __del__(self) -> None:
            if self.base is not None:
                alive.pop()

    def images() -> Iterator[np.ndarray]:
        for value in range(20):
            image = np.full((8, 8, 3), value, np.uint8).view(Image)
            alive.append(value)
            assert len(alive) <= 2  # the one that was handed out before, and this
            yield image
            del image

    found = interpolate(images(), tim_weights(range(20), [0.0, 9.5, 19.0]))
    assert type(found) is np.ndarray
    assert found[0].max() == 0


@pytest.mark.parametrize("count", [0, 2, 4])
def test_a_wrong_number_of_images_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="expected 3 images"):
        interpolate([np.zeros((2, 2, 3), np.uint8)] * count, tim_weights([0, 1, 2], [0.5]))


def test_images_of_different_shapes_are_refused() -> None:
    images = [np.zeros((2, 2, 3), np.uint8), np.zeros((1, 2, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"image 1 has shape \(1, 2, 3\)"):
        interpolate(images, tim_weights([0, 1], [0.5]))


def test_moments_between_frames_show_the_motion_between_them() -> None:
    """Half of the frames of a motion are left out and made again."""
    moments = np.arange(61)
    truth = pattern(moments)
    made = interpolate(
        np.rint(truth[::2]).astype(np.uint8), tim_weights(moments[::2], moments[1::2])
    )
    assert rmse(made, truth[1::2]) < 0.5
    nearest = truth[:-1:2]
    assert rmse(nearest, truth[1::2]) > 8 * rmse(made, truth[1::2])


def frozen_clip() -> tuple[np.ndarray, list[int]]:
    """A moving pattern of which a frame in three, on average, shows the one before again."""
    rng = np.random.default_rng(0)
    distinct = [0, *(frame for frame in range(1, 60) if rng.random() > 0.33), 60]
    shown = [max(d for d in distinct if d <= frame) for frame in range(61)]
    return np.rint(pattern(np.array(shown))).astype(np.uint8), distinct


def test_the_papers_own_procedure_fails_on_repeated_frames() -> None:
    """It divides by the zeros of a matrix without full rank, if it ends at all."""
    frames = frozen_clip()[0].reshape(61, -1).astype(float)
    try:
        made = by_the_paper(frames, np.arange(61.0))
    except (np.linalg.LinAlgError, ValueError):
        return
    assert not rmse(made, frames) < 0.5  # at the frames, which it has to give back


def test_repeated_frames_spoil_the_images_and_distinct_nodes_mend_them() -> None:
    frames, distinct = frozen_clip()
    moments, wanted = range(61), np.linspace(0, 60, 41)
    truth = pattern(wanted)
    untouched = np.rint(pattern(np.arange(61))).astype(np.uint8)
    spoilt = rmse(interpolate(frames, tim_weights(moments, wanted)), truth)
    mended = rmse(interpolate(frames[distinct], tim_weights(distinct, wanted)), truth)
    best = rmse(interpolate(untouched, tim_weights(moments, wanted)), truth)
    assert spoilt > 4 * mended
    assert mended < 2 * best


def test_a_large_motion_between_two_frames_shows_twice() -> None:
    """What TIM cannot do: a dot that jumps by more than its width does not travel."""
    frames = np.zeros((2, 1, 9, 3), np.uint8)
    frames[0, 0, 1], frames[1, 0, 7] = 200, 200
    (middle,) = interpolate(frames, tim_weights([0, 1], [0.5]))
    assert middle[0, :, 0].tolist() == [0, 100, 0, 0, 0, 0, 0, 100, 0]
