"""Alignment takes known head motion out, puts the eyes on the template, and bridges short gaps."""

import numpy as np
import pyarrow as pa
import pytest

from cmedprep.alignment import METHODS, Alignment, ClipFaces, align_clip, alignment_rows, short_gaps
from cmedprep.geometry import Template, apply, compose, invert, scale_of, to_crop
from cmedprep.landmarks import RIGID, eye_centres
from cmedprep.schemas import ALIGNMENT
from cmedprep.tables import frame_keys, to_array

TEMPLATE = Template()
N_FRAMES = 20
CLIP = {"clip_id": "S1/Happy/a", "subject": "S1", "emotion": "Happy", "filename": "a.mp4"}


def face() -> np.ndarray:
    """Make landmarks (478, 3) of a face of 300 px, with plausible rigid points."""
    points = np.random.default_rng(0).uniform(0, 300, (478, 3))
    points[RIGID, :2] = [
        *([60.0, 100], [110, 102], [190, 103], [240, 99]),
        *([150, 95], [150, 130], [151, 150], [149, 190]),
    ]
    return points


def head_motion(n_frames: int = N_FRAMES) -> np.ndarray:
    """Return similarities (n, 2, 3), face to source frame, of a constant motion."""
    t = np.arange(n_frames)
    a = 0.7 * 1.004**t * np.exp(1j * np.radians(-6 + 0.8 * t))
    b = (150 + 3 * t) + 1j * (90 - t)
    return np.stack(
        [np.stack([a.real, -a.imag, b.real], -1), np.stack([a.imag, a.real, b.imag], -1)], -2
    )


def clip_of(motion: np.ndarray, nose: float = 0.0) -> np.ndarray:
    """Return landmarks (n, 478, 3) of the face under a motion, its nose longer by `nose`."""
    points = face()[:, :2]
    points[2, 1] += nose
    landmarks = np.zeros((len(motion), 478, 3))
    landmarks[..., :2] = apply(motion, np.broadcast_to(points, (len(motion), 478, 2)))
    return landmarks


def hide(landmarks: np.ndarray, *frames: int) -> np.ndarray:
    hidden = landmarks.copy()
    hidden[list(frames)] = np.nan
    return hidden


def clip_faces(landmarks: np.ndarray) -> ClipFaces:
    """Return a clip in which nothing can be seen, and so nothing tracked."""
    black = np.zeros((480, 640, 3), np.uint8)
    return ClipFaces(landmarks, lambda: iter([black] * len(landmarks)))


def align(landmarks: np.ndarray, method: str, max_gap: int) -> Alignment:
    return align_clip(clip_faces(landmarks), TEMPLATE, method, max_gap)


def eyes_in_template(matrix: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    return apply(matrix, eye_centres(landmarks))


def test_the_eyes_come_to_lie_on_the_template() -> None:
    landmarks = clip_of(head_motion())
    matrix = align(landmarks, "landmarks", 0).matrix
    expected = np.broadcast_to(TEMPLATE.eyes, (N_FRAMES, 2, 2))
    np.testing.assert_allclose(eyes_in_template(matrix, landmarks), expected, atol=1e-9)


def test_known_head_motion_is_taken_out() -> None:
    motion = head_motion()
    matrix = align(clip_of(motion), "landmarks", 0).matrix
    steady = compose(matrix, motion)
    np.testing.assert_allclose(steady, np.broadcast_to(steady[0], steady.shape), atol=1e-9)


def test_an_expression_is_left_in() -> None:
    """Move a lip corner, which is no rigid point, and find all of it in the crop."""
    landmarks = clip_of(head_motion())
    landmarks[10, 61, :2] += 5.0
    matrix = align(landmarks, "landmarks", 0).matrix
    lip = apply(matrix, landmarks[:, 61:62, :2])[:, 0]
    moved = np.hypot(*(lip[10] - lip[9]))
    assert moved == pytest.approx(np.hypot(5, 5) * scale_of(matrix[10]))


def test_the_length_of_the_nose_moves_no_eye() -> None:
    landmarks = clip_of(head_motion(), nose=60.0)
    matrix = align(landmarks, "landmarks", 0).matrix
    expected = np.broadcast_to(TEMPLATE.eyes, (N_FRAMES, 2, 2))
    np.testing.assert_allclose(eyes_in_template(matrix, landmarks), expected, atol=1e-9)


def test_noise_in_one_frame_leaves_the_others_where_they_are() -> None:
    clean = clip_of(head_motion())
    noisy = clean.copy()
    noisy[7, RIGID, :2] += np.random.default_rng(1).normal(0, 2, (len(RIGID), 2))
    before, after = (align(c, "landmarks", 0).matrix for c in (clean, noisy))
    others = np.arange(N_FRAMES) != 7
    np.testing.assert_allclose(after[others], before[others], atol=1e-6)
    assert not np.allclose(after[7], before[7], atol=1e-3)


def test_the_first_frames_transform_serves_the_whole_clip() -> None:
    landmarks = clip_of(head_motion())
    aligned = align(landmarks, "first_frame", 0)
    np.testing.assert_array_equal(aligned.matrix, aligned.matrix[:1].repeat(N_FRAMES, axis=0))
    np.testing.assert_allclose(
        eyes_in_template(aligned.matrix, landmarks)[0], TEMPLATE.eyes, atol=1e-9
    )


def test_the_first_frame_is_the_first_that_has_a_face() -> None:
    landmarks = hide(clip_of(head_motion()), 0, 1, 5)
    aligned = align(landmarks, "first_frame", 3)
    assert np.isnan(aligned.matrix[:2]).all()
    np.testing.assert_allclose(
        eyes_in_template(aligned.matrix, landmarks)[2], TEMPLATE.eyes, atol=1e-9
    )
    np.testing.assert_allclose(aligned.matrix[5], aligned.matrix[2], atol=1e-9)
    assert aligned.interpolated[5]


# --- gaps ------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [1, 2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_a_short_gap_of_steady_motion_is_bridged(method: str, gap: int) -> None:
    landmarks = clip_of(head_motion())
    hidden = hide(landmarks, *range(6, 6 + gap))
    aligned = align(hidden, method, max_gap=3)
    assert np.flatnonzero(aligned.interpolated).tolist() == list(range(6, 6 + gap))
    whole = align(landmarks, method, max_gap=3)
    # The crop's centre looks at a point that moves on a curve; a gap is short against it.
    corners = np.array([[0.0, 0.0], [223.0, 0.0], [0.0, 223.0]])
    there = np.broadcast_to(corners, (N_FRAMES, 3, 2))
    np.testing.assert_allclose(
        apply(aligned.matrix, apply(invert(whole.matrix), there)), there, atol=0.1
    )


def test_in_a_gap_the_view_of_the_crops_centre_moves_straight() -> None:
    motion = head_motion(20)[[0, 10, 19]]  # far apart, so that another point's path is a curve
    aligned = align(hide(clip_of(motion), 1), "landmarks", max_gap=1)
    seen = apply(invert(aligned.matrix), np.full((3, 1, 2), 111.5))[:, 0]
    np.testing.assert_allclose(seen[1], (seen[0] + seen[2]) / 2, atol=1e-9)


@pytest.mark.parametrize(
    ("unseen", "max_gap", "bridged"),
    [
        ((4, 5, 6), 3, [4, 5, 6]),
        ((4, 5, 6, 7), 3, []),
        ((4,), 0, []),
        ((0, 1), 3, []),
        ((9, 8), 3, []),
        ((2, 5, 6), 1, [2]),
        ((0, 3, 9), 1, [3]),
        ((), 3, []),
        (tuple(range(10)), 30, []),
        (tuple(range(1, 10)), 30, []),
        (tuple(range(1, 9)), 8, list(range(1, 9))),
    ],
)
def test_only_short_gaps_between_two_seen_frames_are_bridged(
    unseen: tuple[int, ...], max_gap: int, bridged: list[int]
) -> None:
    seen = np.ones(10, bool)
    seen[list(unseen)] = False
    assert np.flatnonzero(short_gaps(seen, max_gap)).tolist() == bridged
    aligned = align(hide(clip_of(head_motion(10)), *unseen), "landmarks", max_gap)
    placed = ~np.isnan(aligned.matrix[:, 0, 0])
    assert np.flatnonzero(aligned.interpolated).tolist() == bridged
    assert np.flatnonzero(~placed).tolist() == sorted(set(unseen) - set(bridged))


@pytest.mark.parametrize("method", METHODS)
def test_a_clip_without_a_face_has_no_place(method: str) -> None:
    aligned = align(np.full((5, 478, 3), np.nan, np.float32), method, 3)
    assert np.isnan(aligned.matrix).all()
    assert not aligned.interpolated.any()


@pytest.mark.parametrize("method", METHODS)
def test_a_single_frame_is_aligned(method: str) -> None:
    landmarks = clip_of(head_motion(1))
    aligned = align(landmarks, method, 3)
    np.testing.assert_allclose(
        eyes_in_template(aligned.matrix, landmarks)[0], TEMPLATE.eyes, atol=1e-9
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_landmarks_stay_as_they_are(method: str) -> None:
    landmarks = hide(clip_of(head_motion()), 3, 4)
    before = landmarks.copy()
    align(landmarks, method, 3)
    np.testing.assert_array_equal(landmarks, before)


# --- crops and rows --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [112, 224, 300])
def test_another_crop_size_scales_the_template(size: int) -> None:
    landmarks = clip_of(head_motion())
    matrix = align(landmarks, "landmarks", 0).matrix
    eyes = eyes_in_template(to_crop(matrix, TEMPLATE, size), landmarks)[0]
    factor = size / TEMPLATE.size
    assert np.hypot(*(eyes[1] - eyes[0])) == pytest.approx(90 * factor)
    np.testing.assert_allclose(eyes + 0.5, (TEMPLATE.eyes + 0.5) * factor, atol=1e-9)


def test_rows_say_how_each_frame_was_placed() -> None:
    landmarks = hide(clip_of(head_motion(8)), 0, 3)
    aligned = align(landmarks, "landmarks", 1)
    keys = frame_keys(CLIP, np.arange(8), [i / 30 for i in range(8)])
    rows = alignment_rows(pa.table(keys), clip_faces(landmarks), aligned)
    assert rows.schema == ALIGNMENT
    assert (
        rows["method"].to_pylist() == [None, *["landmarks"] * 2, "interpolated"] + ["landmarks"] * 4
    )
    assert rows["interpolated"].to_pylist() == [i == 3 for i in range(8)]
    assert rows["matrix"].null_count == 1
    np.testing.assert_array_equal(to_array(rows["matrix"], (2, 3)), aligned.matrix)


def test_rows_hold_what_the_method_certifies() -> None:
    landmarks = hide(clip_of(head_motion(4)), 2)
    certificate = {
        "n_tracks": np.array([100, 90, 0, 80]),
        "error_px": np.array([0.01, np.nan, np.nan, 0.02]),
        "residual_jitter_px": 0.07,
    }
    matrix = align(landmarks, "landmarks", 3).matrix
    aligned = Alignment(matrix, np.full(4, "stabilised"), certificate)
    keys = frame_keys(CLIP, np.arange(4), [i / 30 for i in range(4)])
    rows = alignment_rows(pa.table(keys), clip_faces(landmarks), aligned)
    assert rows["n_tracks"].to_pylist() == [100, 90, None, 80]
    assert rows["error_px"].to_pylist() == [0.01, None, None, 0.02]
    assert rows["residual_jitter_px"].to_pylist() == [0.07, 0.07, None, 0.07]
    assert rows["landmark_drift_px"].null_count == 4
