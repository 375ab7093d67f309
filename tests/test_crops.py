"""Resampling keeps positions and sharpness, whatever the sub-pixel phase; files keep pixels."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from cmedprep.crops import crop_face, low_pass
from cmedprep.images import encode

Array = npt.NDArray[np.float64]
SIZE = 96


def similarity(scale: float, degrees: float, source: Array, crop: Array) -> Array:
    """Give the similarity that brings the point `source` to the point `crop`."""
    a = scale * np.exp(1j * np.radians(degrees))
    linear = np.array([[a.real, -a.imag], [a.imag, a.real]])
    return np.column_stack([linear, crop - linear @ source])


def grid(height: int, width: int) -> Array:
    """Give the points (x, y) of all pixels, shape (height, width, 2)."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(float)


def rgb(grey: Array) -> npt.NDArray[np.uint8]:
    return np.repeat(np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("periods", [2, 10, 19, 24])
def test_position_is_kept_at_every_phase(periods: int) -> None:
    # Whole periods in x and y; the slant averages out the rounding of grey levels.
    wave = 2 * np.pi * np.array([periods, 7]) / SIZE
    frame = rgb(128 + 100 * np.cos(grid(140, 140) @ wave))
    errors, gains = [], []
    for step in np.arange(0, 1, 0.0625) + 0.01:
        origin = np.array([20 + step, 20 + 7 * step])
        crop = crop_face(frame, similarity(1, 0, origin, np.zeros(2)), SIZE, 0)[..., 0]
        expected = np.exp(1j * ((grid(SIZE, SIZE) + origin) @ wave))
        seen = ((crop - 128.0) * expected.conj()).mean() / 50
        errors.append(np.angle(seen) / np.linalg.norm(wave))
        gains.append(abs(seen))
    assert np.abs(errors).max() < 0.016
    assert np.ptp(gains) < 0.13
    assert np.mean(gains) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("scale", [0.6, 0.8, 1.0, 1.6])
def test_a_still_face_stays_still_while_the_head_moves(scale: float) -> None:
    rng = np.random.default_rng(5)
    angle, frequency = rng.uniform(0, np.pi, 60), rng.uniform(0.02, 0.2, 60)
    wave = 2 * np.pi * frequency * np.stack([np.cos(angle), np.sin(angle)])
    phase = rng.uniform(0, 2 * np.pi, 60)
    side = int(SIZE / scale * 1.2) + 12
    centre = np.full(2, (side - 1) / 2)
    crops = []
    for _ in range(6):
        motion = similarity(
            rng.uniform(0.98, 1.02), rng.uniform(-3, 3), np.zeros(2), centre + rng.uniform(-3, 3, 2)
        )
        points = (grid(side, side) - motion[:, 2]) @ np.linalg.inv(motion[:, :2]).T
        frame = rgb(128 + 42 * np.cos(points @ wave + phase).mean(axis=-1) * 60**0.5)
        linear = scale * np.linalg.inv(motion[:, :2])
        matrix = np.column_stack([linear, (SIZE - 1) / 2 - linear @ motion[:, 2]])
        crops.append(crop_face(frame, matrix, SIZE, low_pass(matrix[None]))[4:-4, 4:-4, 0])
    # Of 30 grey levels; rounding alone makes 0.29. Bicubic and linear make 0.6 and 0.7.
    assert np.std(crops, axis=0).mean() < 0.4


def test_beyond_the_frame_is_black_and_within_is_not_dimmed() -> None:
    frame = np.full((60, 80, 3), 200, np.uint8)
    crop = crop_face(frame, np.array([[1.0, 0, 20], [0, 1.0, 30]]), 120, 0)
    assert (crop[30:90, 20:100] == 200).all()
    crop[29:91, 19:101] = 0
    assert not crop.any()
    assert not crop_face(frame, np.array([[1.0, 0, 500], [0, 1.0, 0]]), 120, 0).any()


def test_flat_colour_and_extremes_are_kept() -> None:
    frame = np.zeros((60, 60, 3), np.uint8)
    frame[:, 30:] = 255
    for blur in (0.0, 0.3, 0.8, 0.9, 2.0):
        crop = crop_face(frame, np.array([[1.0, 0, 0.4], [0, 1.0, 0.3]]), 50, blur)
        assert (crop[2:, 2:14] == 0).all()
        assert (crop[2:, 44:] == 255).all()


@pytest.mark.parametrize("blur", [0.0, 0.6, 1.2])
def test_pixels_depend_on_neither_threads_nor_the_rest_of_the_frame(blur: float) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    matrix = similarity(0.9, 7, np.array([320.3, 240.6]), np.full(2, 111.5))
    first = crop_face(frame, matrix, 224, blur)
    threads = cv2.getNumThreads()
    try:
        for n in (1, 4):
            cv2.setNumThreads(n)
            np.testing.assert_array_equal(crop_face(frame, matrix, 224, blur), first)
    finally:
        cv2.setNumThreads(threads)
    other = frame.copy()
    other[:80], other[:, :120] = 0, 255
    np.testing.assert_array_equal(crop_face(other, matrix, 224, blur), first)


def test_low_pass_grows_from_nothing_with_the_median_scale() -> None:
    def blur(*scales: float) -> float:
        return low_pass(np.array([similarity(s, 20, np.zeros(2), np.zeros(2)) for s in scales]))

    assert blur(1.5) == blur(1.0) == 0
    assert 0 < blur(0.99) < 0.1
    assert blur(0.5) == pytest.approx(0.5 * np.sqrt(3))
    assert blur(0.1, 0.5, 3.0) == blur(0.5)


@pytest.mark.parametrize("scale", [0.25, 0.45, 0.49, 0.51, 0.6, 0.75, 0.9])
def test_low_pass_has_the_gain_of_its_gaussian(scale: float) -> None:
    matrix = similarity(scale, 10, np.array([200.2, 200.7]), np.full(2, (SIZE - 1) / 2))
    blur = low_pass(matrix[None])
    points = grid(400, 400)
    for per_crop_pixel in (0.1, 0.2):
        wave = 2 * np.pi * per_crop_pixel * scale
        crop = crop_face(rgb(128 + 100 * np.cos(wave * points[..., 0])), matrix, SIZE, blur)
        inverse = np.linalg.inv(matrix[:, :2])
        x = ((grid(SIZE, SIZE) - matrix[:, 2]) @ inverse.T)[..., 0]
        window = np.outer(np.hanning(SIZE), np.hanning(SIZE))
        seen = ((crop[..., 0] - 128.0) * np.exp(-1j * wave * x) * window).sum() / window.sum() / 50
        assert abs(seen) == pytest.approx(np.exp(-((wave * blur) ** 2) / 2), abs=0.04)
        assert abs(np.angle(seen)) / wave < 0.005


def test_png_gives_back_every_pixel_and_jpeg_nearly() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    image = cv2.resize(image, (224, 224), interpolation=cv2.INTER_LINEAR)
    for kind, tolerance in (("png", 0), ("jpeg", 5)):
        data = encode(image, kind, 95)
        assert data == encode(image, kind, 95)
        back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert back is not None
        assert np.abs(back[..., ::-1].astype(int) - image).mean() <= tolerance
