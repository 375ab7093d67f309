"""Spotting the apex by motion: against rendered clips whose expression is known."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from cmedprep.geometry import Template, apply, resize
from cmedprep.pulses import find_pulse, pulses, score_pulses
from cmedprep.regions import PLACES, lattice_of
from cmedprep.spotting import Followed, Spotted, split_motion, spot_apex
from tests.makers import synthetic_face as maker

SIZE, N, APEX = 224, 24, 10


@pytest.fixture(scope="module")
def portrait() -> maker.Portrait:
    """A face on the template, with its landmarks."""
    return maker.make_portrait(width=SIZE, height=SIZE)


def render(
    portrait: maker.Portrait,
    expression: maker.Expression | None,
    n: int = N,
    *,
    turn: float = 1.0,
    blink: maker.Blink | None = None,
    capture: maker.Capture | None = None,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return images of a head that turns a little, as after alignment, and their landmarks."""
    motion = maker.Motion.wander(n, seed=3, yaw=turn, pitch=turn, roll=0.1, scale=0.001, shift=0.1)
    truth = maker.ClipTruth(portrait.face, motion, expression, blink)
    images = list(maker.render_clip(portrait, truth, capture or maker.Capture(noise_sigma=1.5)))
    return images, np.repeat(portrait.face.mesh[None], n, axis=0)


def spot(clip: tuple[list[np.ndarray], np.ndarray]) -> Spotted:
    return spot_apex(iter(clip[0]), clip[1])


@pytest.fixture(scope="module")
def smile(portrait: maker.Portrait) -> tuple[list[np.ndarray], np.ndarray]:
    return render(portrait, maker.Expression("Happy", 1.5, APEX))


@pytest.fixture(scope="module")
def smiling(smile: tuple[list[np.ndarray], np.ndarray]) -> Spotted:
    return spot(smile)


@pytest.mark.parametrize("emotion", sorted(maker.PULLS))
def test_the_apex_of_every_emotion_is_found_within_a_frame(
    portrait: maker.Portrait, emotion: str
) -> None:
    spotted = spot(render(portrait, maker.Expression(emotion, 1.0, APEX)))
    assert spotted.apex is not None
    assert abs(spotted.apex - APEX) <= 1
    assert spotted.snr > 8


def test_too_few_frames_say_where_and_not_how_surely(
    smile: tuple[list[np.ndarray], np.ndarray],
) -> None:
    images, landmarks = smile
    few = spot((images[:14:2], landmarks[:14:2]))
    assert few.apex is not None
    assert np.isnan(few.snr)
    assert not np.isnan(spot((images[:16:2], landmarks[:16:2])).snr)


def test_the_curve_follows_the_expression_and_begins_at_onset(smiling: Spotted) -> None:
    truth = maker.Expression("Happy", 1.0, APEX).time_course(N)
    assert np.corrcoef(smiling.motion_px, truth)[0, 1] > 0.98
    assert np.corrcoef(smiling.smooth_px, truth)[0, 1] > 0.98
    assert smiling.smooth_px[0] == 0.0
    assert smiling.apex == smiling.smooth_px.argmax()
    assert smiling.peak_px == smiling.smooth_px.max()
    # Averaged over skin around the place that moves by 1.5 px.
    assert 0.6 < smiling.peak_px < 1.6


def test_an_expression_that_is_twice_as_strong_moves_twice_as_far(
    portrait: maker.Portrait, smiling: Spotted
) -> None:
    strong = spot(render(portrait, maker.Expression("Happy", 3.0, APEX)))
    assert strong.peak_px == pytest.approx(2.0 * smiling.peak_px, rel=0.2)


@pytest.mark.parametrize("frame", [4, 17])
def test_a_blink_does_not_win(portrait: maker.Portrait, frame: int) -> None:
    expression = maker.Expression("Disgust", 1.0, APEX)
    spotted = spot(render(portrait, expression, blink=maker.Blink(frame, 0.45)))
    assert spotted.apex is not None
    assert abs(spotted.apex - APEX) <= 1


def test_a_change_of_light_does_not_win(portrait: maker.Portrait) -> None:
    light = maker.Light.stretch(N, 15, N, gain=0.75, offset=10.0)
    capture = maker.Capture(light, noise_sigma=1.5)
    spotted = spot(render(portrait, maker.Expression("Happy", 1.5, APEX), capture=capture))
    assert spotted.apex is not None
    assert abs(spotted.apex - APEX) <= 1


def test_a_hand_before_the_cheek_does_not_win(portrait: maker.Portrait) -> None:
    hand = maker.Occluder(14, 24, (20.0, 260.0), (50.0, 190.0), palm_px=24.0)
    capture = maker.Capture(noise_sigma=1.5, occluder=hand)
    spotted = spot(render(portrait, maker.Expression("Surprise", 1.5, APEX), capture=capture))
    assert spotted.apex is not None
    assert abs(spotted.apex - APEX) <= 2


def test_of_an_expression_that_is_held_a_frame_within_is_taken(portrait: maker.Portrait) -> None:
    class Held(maker.Expression):
        def time_course(self, n_frames: int) -> np.ndarray:
            t = np.arange(n_frames)
            way = np.clip(np.minimum(t / 6, (n_frames - 1 - t) / 6), 0, 1)
            return np.asarray(0.5 - 0.5 * np.cos(np.pi * way))

    spotted = spot(render(portrait, Held("Happy", 2.0, APEX)))
    assert spotted.apex is not None
    assert 6 <= spotted.apex <= N - 7


def test_a_clip_without_expression_is_trusted_less(
    portrait: maker.Portrait, smiling: Spotted
) -> None:
    spotted = spot(render(portrait, None, turn=3.0))
    assert spotted.snr < 0.5 * smiling.snr
    assert spotted.peak_px < 0.5 * smiling.peak_px


def test_repeated_images_change_little(
    smile: tuple[list[np.ndarray], np.ndarray],
) -> None:
    images, landmarks = smile
    again = [images[index - index % 2] for index in range(N)]
    spotted = spot((again, landmarks))
    assert spotted.apex in (APEX - 1, APEX, APEX + 1)


@pytest.mark.parametrize("size", [112, 336])
def test_motion_is_in_template_pixels_whatever_the_size_of_the_images(
    smile: tuple[list[np.ndarray], np.ndarray], smiling: Spotted, size: int
) -> None:
    images, landmarks = smile
    interpolation = cv2.INTER_AREA if size < SIZE else cv2.INTER_CUBIC
    resized = [cv2.resize(image, (size, size), interpolation=interpolation) for image in images]
    there = landmarks * (size / SIZE)
    there[..., :2] = apply(resize(SIZE, size), landmarks[..., :2])
    spotted = spot((resized, there))
    assert spotted.apex is not None
    assert smiling.apex is not None
    assert abs(spotted.apex - smiling.apex) <= 1
    assert spotted.peak_px == pytest.approx(smiling.peak_px, rel=0.25)


def test_motion_is_in_pixels_of_the_template_that_is_asked_for(
    smile: tuple[list[np.ndarray], np.ndarray], smiling: Spotted
) -> None:
    twice = Template(size=448, inter_ocular=180.0, eye_midpoint=(224.0, 180.0))
    spotted = spot_apex(iter(smile[0]), smile[1], twice)
    assert spotted.peak_px == pytest.approx(2.0 * smiling.peak_px)


def test_images_are_not_kept(smile: tuple[list[np.ndarray], np.ndarray], smiling: Spotted) -> None:
    images, landmarks = smile
    buffer = np.empty_like(images[0])

    def through_one_buffer() -> Iterator[np.ndarray]:
        for image in images:
            buffer[:] = image
            yield buffer

    spotted = spot_apex(through_one_buffer(), landmarks)
    np.testing.assert_array_equal(spotted.motion_px, smiling.motion_px)


def test_frames_without_landmarks_are_measured_all_the_same(
    smile: tuple[list[np.ndarray], np.ndarray], smiling: Spotted
) -> None:
    images, landmarks = smile
    landmarks = landmarks.copy()
    landmarks[5:8] = np.nan
    np.testing.assert_array_equal(spot((images, landmarks)).motion_px, smiling.motion_px)


def test_an_image_without_the_face_has_no_motion(
    smile: tuple[list[np.ndarray], np.ndarray],
) -> None:
    images, landmarks = list(smile[0]), smile[1]
    rng = np.random.default_rng(0)
    images[17] = rng.integers(0, 255, images[17].shape, np.uint8)
    spotted = spot((images, landmarks))
    assert np.flatnonzero(np.isnan(spotted.motion_px)).tolist() == [17]
    assert np.isnan(spotted.smooth_px[17])
    assert spotted.apex is not None
    assert abs(spotted.apex - APEX) <= 1


@pytest.mark.parametrize("n", [0, 1, 2])
def test_of_too_few_images_nothing_is_told(
    smile: tuple[list[np.ndarray], np.ndarray], n: int
) -> None:
    spotted = spot((smile[0][:n], smile[1][:n]))
    assert spotted.apex is None
    assert len(spotted.motion_px) == n
    assert np.isnan([spotted.peak_px, spotted.snr, *spotted.motion_px]).all()


@pytest.mark.parametrize("n", [3, 4, 5])
def test_few_images_are_enough(smile: tuple[list[np.ndarray], np.ndarray], n: int) -> None:
    chosen = np.linspace(0, N - 1, n).round().astype(int)
    spotted = spot(([smile[0][i] for i in chosen], smile[1][chosen]))
    assert spotted.apex is not None
    assert np.isfinite(spotted.motion_px).all()


def test_where_nothing_moves_nothing_is_told(
    smile: tuple[list[np.ndarray], np.ndarray],
) -> None:
    assert spot(([smile[0][0]] * N, smile[1])).apex is None


def test_without_a_face_nothing_is_told(smile: tuple[list[np.ndarray], np.ndarray]) -> None:
    assert spot((smile[0], np.full_like(smile[1], np.nan))).apex is None


def test_a_face_outside_the_image_is_not_followed(
    smile: tuple[list[np.ndarray], np.ndarray],
) -> None:
    assert spot((smile[0], smile[1] + 200.0)).apex is None


@pytest.mark.parametrize("n", [N - 1, N + 1])
def test_images_and_landmarks_must_be_of_the_same_frames(
    smile: tuple[list[np.ndarray], np.ndarray], n: int
) -> None:
    with pytest.raises(ValueError, match=f"expected {n}"):
        spot_apex(iter(smile[0]), np.resize(smile[1], (n, 478, 3)))


def test_the_evidence_is_the_ratio_of_two_gaussian_likelihoods() -> None:
    """By the definition: covariances of whole clips, with the pulse and without, one by one."""
    n, reach, rng = 16, 0.7, np.random.default_rng(0)
    t = np.arange(n)
    turn = rng.normal(0.0, 3.0, (n, 2))
    exposed = np.array([[0.0, 0.05, 0.03], [0.04, 0.0, 0.02]])
    curves = np.outer(np.sin(np.pi * t / (n - 1)), [0.5, -0.2, 0.1]) + rng.normal(0, 0.05, (n, 3))
    family, noise = pulses(n)[0][::40], np.array([0.01, 0.02, 0.05])
    score, strength = score_pulses(curves, family, noise, turn, np.square(exposed), reach)

    # 40 % of the variance drifts, 0.3 clips long; the level may be any.
    drift = 0.6 * np.eye(n) + 0.4 * np.exp(-np.abs(t[:, None] - t) / (0.3 * n)) + 1e3
    for m, pulse in enumerate(family):
        ratio = 0.0
        for i, curve in enumerate(curves.T):
            without = noise[i] * drift + turn @ np.diag(np.square(exposed[:, i])) @ turn.T
            given = without + reach**2 * np.outer(pulse, pulse)
            ratio += multivariate_normal.logpdf(curve, cov=given)
            ratio -= multivariate_normal.logpdf(curve, cov=without)
            expected = reach**2 * pulse @ np.linalg.solve(given, curve)
            assert strength[m, i] == pytest.approx(expected, abs=1e-6)
        assert score[m] == pytest.approx(ratio, abs=1e-5)


def test_a_long_clip_is_spotted_to_the_frame() -> None:
    rng = np.random.default_rng(1)
    course = maker.Expression("Happy", 1.0, 700).time_course(2000)
    curves = course[:, None] * [1.0, 0.0, -0.5] + rng.normal(0.0, 0.05, (2000, 3))
    found = find_pulse(curves, np.eye(3) * 0.05**2, np.zeros((2000, 2)), np.zeros((2, 3)), 1.0)
    assert found is not None
    assert abs(int(found.fitted.argmax()) - 700) <= 16
    assert found.mode == pytest.approx([1.0, 0.0, -0.5], abs=0.05)


def test_pulses_rise_once_and_fall() -> None:
    family, unusual = pulses(20)
    assert family.min() >= 0.0
    assert family.max() <= 1.0
    steps = np.sign(np.diff(family, axis=1))
    falls = np.maximum.accumulate(steps < 0, axis=1)
    assert not (falls & (steps > 0)).any()
    assert (family[:, 0] < 0.5).all()
    assert unusual.min() == 0.0


def test_a_pulse_is_told_from_a_head_that_turns() -> None:
    n, rng = 30, np.random.default_rng(2)
    turn = np.column_stack([np.zeros(n), 12.0 * np.sin(np.linspace(0.0, np.pi, n))])
    course = maker.Expression("Happy", 1.0, 8).time_course(n)
    unknown_depth = np.array([0.05, -0.04, 0.06, 0.0])
    curves = turn[:, 1:] * unknown_depth + course[:, None] * [0.0, 0.0, 0.0, 0.5]
    curves += rng.normal(0.0, 0.02, curves.shape)
    exposed = np.array([[0.0] * 4, [0.05] * 4])
    found = find_pulse(curves, 0.02**2 * np.eye(4), turn, exposed, 0.7)
    assert found is not None
    assert abs(int(found.measured.argmax()) - 8) <= 2


def test_no_curve_no_pulse() -> None:
    nothing = np.zeros((10, 2))
    assert find_pulse(nothing, np.eye(2), nothing, np.zeros((2, 2)), 1.0) is None


def test_the_lattice_leaves_out_the_eyes_and_mirrors_motion(portrait: maker.Portrait) -> None:
    mesh = portrait.face.mesh
    lattice = lattice_of(mesh, SIZE)
    assert lattice is not None
    for lid in (159, 145, 386, 374, 468, 473):
        assert np.hypot(*(lattice.points - mesh[lid, :2]).T).min() > 10.0
    paired = sum(left != right for left, right in PLACES)
    assert lattice.face.shape == (len(lattice.points), 2, paired + len(PLACES))
    middle = mesh[168, 0]
    left, right = lattice.points[:, 0] < middle - 10, lattice.points[:, 0] > middle + 10
    outward = lattice.face[..., 0]
    assert outward[left, 0].min() < -0.3
    assert outward[right, 0].max() > 0.3
    upward = lattice.face[..., 1]
    assert upward[..., 1].max() < 0.1
    assert upward[left, 1].min() == pytest.approx(upward[right, 1].min(), abs=0.2)


def test_what_the_head_does_is_not_taken_for_the_face(portrait: maker.Portrait) -> None:
    lattice = lattice_of(portrait.face.mesh, SIZE)
    assert lattice is not None
    n = len(lattice.points)
    head = np.array([0.4, 0.2, -0.1, 1.5, -0.3, 0.1, 0.2, -2.0])
    face = np.zeros(lattice.face.shape[-1])
    face[15] = 0.8
    flow = np.stack([lattice.head @ head, lattice.head @ head + lattice.face @ face])
    found = np.ones((2, n), bool)
    sharp = np.broadcast_to(400.0 * np.eye(2), (n, 2, 2))
    motions = split_motion(Followed(lattice, sharp, flow.astype(np.float32), found, SIZE))
    assert np.abs(motions.face[0]).max() < 0.02
    assert motions.face[1] == pytest.approx(face, abs=0.05)
    assert motions.turn == pytest.approx(np.tile([1.5, -2.0], (2, 1)), abs=0.3)
    assert motions.seen.min() > 0.9


def test_points_that_were_lost_do_not_count(portrait: maker.Portrait) -> None:
    lattice = lattice_of(portrait.face.mesh, SIZE)
    assert lattice is not None
    n = len(lattice.points)
    flow, found = np.zeros((2, n, 2), np.float32), np.ones((2, n), bool)
    flow[1, ::3], found[1, ::3] = 50.0, False
    sharp = np.broadcast_to(400.0 * np.eye(2), (n, 2, 2))
    motions = split_motion(Followed(lattice, sharp, flow, found, SIZE))
    assert np.abs(motions.face).max() < 1e-6
    assert motions.seen[1] == pytest.approx(2 / 3, abs=0.01)
