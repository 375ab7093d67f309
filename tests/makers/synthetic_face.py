"""Render clips of a moving face whose every skin point is known.

A still portrait is turned into a clip by an exact model, so that alignment can be scored
against truth and not against another tracker.

* `Portrait` is a texture and its `Face`: the mesh, the depth, the regions.
* `ClipTruth` says where every point of the portrait is in every frame: `Motion` of the head
  in depth, `Expression` and `Blink` on the skin.
* `Capture` is what a camera adds: `Light`, sensor noise, motion blur, an `Occluder`.
* `render_clip` draws; `score_alignment` and `kept_amplitude` judge.

All coordinates are pixels, pixel centres at integers, x right, y down, z away from the camera.
*Portrait coordinates* are those of the frame that a head at rest would give, so portrait and
frame coordinates coincide for `Motion.still`.

>>> portrait = make_portrait()
>>> truth = ClipTruth(portrait.face, Motion.wander(30, seed=1), Expression("Happy", 2.0, 12))
>>> frames = list(render_clip(portrait, truth, Capture(noise_sigma=1.5)))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
EYE_CORNERS = ((33, 133), (362, 263))
"""Outer and inner corner of the eye at the image's left; inner and outer of the other."""

AMPLITUDE_INTER_OCULAR_PX = 90.0
"""Inter-ocular distance for which amplitudes of expressions are given."""

_EARS = (234, 454)
_OVERSAMPLING = 2
_MARGIN = 48
# Relative radius of the head's ellipse (1 holds the whole mesh) up to which everything moves
# with the head, and from which the background stands still.
_HELD, _FREE = 1.1, 2.0


@dataclass(frozen=True)
class Pull:
    """A pull on the skin around one landmark and its mirror image.

    Attributes
    ----------
    landmarks
        Mesh ids; the outward direction of each is away from the face's midline.
    out, up
        Displacement outward and upward, in units of the expression's amplitude.
    radius
        Where the pull has died away, in inter-ocular distances.
    """

    landmarks: tuple[int, ...]
    out: float
    up: float
    radius: float


PULLS: dict[str, tuple[Pull, ...]] = {
    "Happy": (
        Pull((61, 291), 0.8, 0.6, 0.38),
        Pull((205, 425), 0.1, 0.3, 0.28),
    ),
    "Sad": (
        Pull((61, 291), 0.0, -0.8, 0.38),
        Pull((55, 285), -0.2, 0.9, 0.26),
    ),
    "Surprise": (
        Pull((55, 285), 0.0, 0.6, 0.25),
        Pull((52, 282), 0.0, 0.6, 0.25),
        Pull((46, 276), 0.0, 0.4, 0.22),
        Pull((159, 386), 0.0, 0.35, 0.17),
        Pull((17,), 0.0, -0.8, 0.38),
        Pull((152,), 0.0, -0.6, 0.40),
    ),
    "Anger": (
        Pull((55, 285), -0.5, -0.8, 0.26),
        Pull((52, 282), 0.0, -0.4, 0.24),
        Pull((159, 386), 0.0, -0.25, 0.17),
        Pull((145, 374), 0.0, 0.25, 0.17),
    ),
    "Disgust": (
        Pull((37, 267), 0.0, 0.7, 0.28),
        Pull((129, 358), 0.15, 0.6, 0.26),
        Pull((55, 285), -0.1, -0.3, 0.24),
    ),
    "Fear": (
        Pull((55, 285), -0.4, 0.8, 0.26),
        Pull((52, 282), 0.0, 0.3, 0.24),
        Pull((159, 386), 0.0, 0.4, 0.17),
        Pull((61, 291), 0.9, -0.2, 0.38),
    ),
}
"""The skin movement of each of CMED's emotions, after the action units that define it."""

_BLINK = Pull((159, 386), 0.0, -1.0, 0.27)
_BLINK_LOWER_LIDS = (145, 374)


def eye_centres(mesh: Array) -> Array:
    """Give the midpoint of either eye's corners.

    Parameters
    ----------
    mesh
        (478, 2 or 3) MediaPipe landmarks.

    Returns
    -------
    (2, 2): the eye at the image's left, then the other; in the mesh's own units.
    """
    return np.stack([mesh[list(corners), :2].mean(axis=0) for corners in EYE_CORNERS])


def _smooth_step(x: Array) -> Array:
    """Rise from 0 at x <= 0 to 1 at x >= 1 with two continuous derivatives."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (x * (6.0 * x - 15.0) + 10.0)


def _bumps(points: Array, centres: Array, vectors: Array, radii: Array) -> Array:
    """Sum displacement bumps (Wendland's C2 function).

    It looks like a Gaussian of sigma 0.29 radius but is exactly 0 beyond the radius, so skin
    said to be rigid is rigid.

    Parameters
    ----------
    points
        (..., 2) px.
    centres, vectors, radii
        (K, 2) px, (K, 2) displacement at the centre, (K,) px.

    Returns
    -------
    (..., 2), in the vectors' units.
    """
    total = np.zeros(points.shape)
    for centre, vector, radius in zip(centres, vectors, radii, strict=True):
        r = np.hypot(points[..., 0] - centre[0], points[..., 1] - centre[1]) / radius
        window = np.square(np.square(np.clip(1.0 - r, 0.0, None))) * (4.0 * r + 1.0)
        total += window[..., None] * vector
    return total


def _look_up(image: Floats, x: Floats, y: Floats, border: int = cv2.BORDER_REPLICATE) -> Floats:
    """Interpolate an image bilinearly at points x, y (rows, columns) px.

    One or three channels: for those OpenCV computes exactly, for two it rounds to 1/32 px.
    """
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=border))


def _thin_plate(centres: Array, values: Array, points: Array, smoothing: float) -> Array:
    """Evaluate the smoothing thin-plate spline of scattered values (Bookstein 1989).

    Parameters
    ----------
    centres, values, points
        (N, 2), (N,), (M, 2).
    smoothing
        Added to the kernel's diagonal; centres should be scaled to order 1.

    Returns
    -------
    (M,)
    """

    def kernel(a: Array, b: Array) -> Array:
        r2 = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2.0 * a @ b.T
        r2 = np.maximum(r2, 1e-12)
        return np.asarray(0.5 * r2 * np.log(r2))

    n = len(centres)
    affine = np.column_stack([np.ones(n), centres])
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = kernel(centres, centres) + smoothing * np.eye(n)
    system[:n, n:] = affine
    system[n:, :n] = affine.T
    weights = np.linalg.solve(system, np.concatenate([values, np.zeros(3)]))
    return np.asarray(
        kernel(points, centres) @ weights[:n]
        + np.column_stack([np.ones(len(points)), points]) @ weights[n:]
    )


@dataclass(frozen=True, eq=False)
class Face:
    """The geometry of one still face.

    Attributes
    ----------
    mesh
        (478, 3) MediaPipe landmarks in portrait pixels; z in the same unit, smaller is nearer.
    width, height
        Frame size in px.
    """

    mesh: Array
    width: int = 640
    height: int = 480

    @cached_property
    def inter_ocular_px(self) -> float:
        """Distance between the eye centres in the portrait."""
        left, right = eye_centres(self.mesh)
        return float(np.hypot(*(right - left)))

    @cached_property
    def pivot(self) -> Array:
        """(3,) px: the midpoint between the ears, about which the head turns."""
        return np.asarray(self.mesh[list(_EARS)].mean(axis=0))

    @cached_property
    def _ellipse(self) -> tuple[Array, Array]:
        """Centre (2,) and semi-axes (2,) px of an upright ellipse around the mesh."""
        low, high = self.mesh[:, :2].min(axis=0), self.mesh[:, :2].max(axis=0)
        centre, half = (low + high) / 2.0, (high - low) / 2.0
        reach = np.hypot(*((self.mesh[:, :2] - centre) / half).T).max()
        return centre, half * reach

    @cached_property
    def moving_box(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 (half-open) px: outside it nothing ever moves."""
        centre, axes = self._ellipse
        low = np.floor(centre - _FREE * axes).astype(int) - 1
        high = np.ceil(centre + _FREE * axes).astype(int) + 2
        return (
            max(int(low[0]), 0),
            max(int(low[1]), 0),
            min(int(high[0]), self.width),
            min(int(high[1]), self.height),
        )

    def attachment(self, points: Array) -> Array:
        """Say how far each point moves with the head: 1 on the face, 0 in the background.

        Parameters
        ----------
        points
            (..., 2) portrait px.

        Returns
        -------
        (...) in 0..1.
        """
        centre, axes = self._ellipse
        x, y = np.moveaxis((points - centre) / axes, -1, 0)
        return 1.0 - _smooth_step((np.hypot(x, y) - _HELD) / (_FREE - _HELD))

    @cached_property
    def _depth_spline(self) -> tuple[Array, Array, float]:
        """Origin (2,) px, coefficients (rows, columns) px and knot spacing px of the depth."""
        spacing = self.inter_ocular_px / 10.0
        origin = np.full(2, -2.0 * spacing)
        columns, rows = (int(np.ceil(extent / spacing)) + 5 for extent in (self.width, self.height))
        knots = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
        knots = (origin + spacing * knots).reshape(-1, 2)

        # The face's rim goes on level to all sides: hair and shoulders as deep as the ears.
        centre, axes = self._ellipse
        turn = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
        ring = np.column_stack([np.cos(turn), np.sin(turn)]) * axes
        around = np.concatenate([centre + radius * ring for radius in (1.7, 2.4, 4.0)])
        skin = self.mesh[:468]
        rim = np.full(len(around), self.pivot[2])
        coefficients = _thin_plate(
            np.concatenate([skin[:, :2], around]) / self.inter_ocular_px,
            np.concatenate([skin[:, 2], rim]),
            knots / self.inter_ocular_px,
            smoothing=1e-3,
        )
        return origin, coefficients.reshape(rows, columns), spacing

    def depth(self, points: Array) -> Array:
        """Give the depth of the head's surface, a cubic B-spline (two continuous derivatives).

        Parameters
        ----------
        points
            (..., 2) portrait px.

        Returns
        -------
        (...) px, smaller is nearer.
        """
        origin, coefficients, spacing = self._depth_spline
        limit = np.array(coefficients.shape[::-1]) - 3.001
        position = np.clip((points - origin) / spacing, 1.0, limit)
        cell = np.floor(position).astype(np.intp)
        t = position - cell
        basis = (
            np.stack(
                [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
            )
            / 6.0
        )
        total = np.zeros(points.shape[:-1])
        for row in range(4):
            for column in range(4):
                total += (
                    basis[row, ..., 1]
                    * basis[column, ..., 0]
                    * coefficients[cell[..., 1] + row - 1, cell[..., 0] + column - 1]
                )
        return total

    @cached_property
    def grid(self) -> Floats:
        """(rows, columns, 2) px: the pixel centres of `moving_box`."""
        x0, y0, x1, y1 = self.moving_box
        x, y = np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32)
        return np.stack(np.meshgrid(x, y), axis=-1)

    @cached_property
    def grid_attachment(self) -> Floats:
        """(rows, columns): `attachment` on `grid`."""
        return self.attachment(self.grid.astype(np.float64)).astype(np.float32)

    @cached_property
    def grid_depth(self) -> Floats:
        """(rows, columns) px: `depth` on `grid`."""
        return self.depth(self.grid.astype(np.float64)).astype(np.float32)

    def _pulled(self, pulls: tuple[Pull, ...]) -> tuple[Array, Array, Array]:
        """Centres (K, 2) px, unit displacements (K, 2) and radii (K,) px of pulls."""
        left, right = eye_centres(self.mesh)
        across = (right - left) / self.inter_ocular_px
        upward = np.array([across[1], -across[0]])
        centres, vectors, radii = [], [], []
        for pull in pulls:
            for landmark in pull.landmarks:
                centre = self.mesh[landmark, :2]
                side = np.sign((centre - self.mesh[168, :2]) @ across)
                centres.append(centre)
                vectors.append(pull.out * side * across + pull.up * upward)
                radii.append(pull.radius * self.inter_ocular_px)
        return np.array(centres), np.array(vectors), np.array(radii)

    def expression_field(self, emotion: str, points: Array) -> Array:
        """Give the displacement field of an emotion, at most 1 long on any mesh landmark.

        Parameters
        ----------
        emotion
            A key of `PULLS`.
        points
            (..., 2) portrait px.

        Returns
        -------
        (..., 2), to be multiplied by the amplitude in px.
        """
        pulled = self._pulled(PULLS[emotion])
        largest = np.hypot(*_bumps(self.mesh[:, :2], *pulled).T).max()
        return np.asarray(_bumps(points, *pulled) / largest)

    def blink_field(self, points: Array) -> Array:
        """Give the displacement (..., 2) px that would bring the upper lids to the lower ones.

        Parameters
        ----------
        points
            (..., 2) portrait px.
        """
        centres, vectors, radii = self._pulled((_BLINK,))
        gap = np.hypot(*(self.mesh[list(_BLINK_LOWER_LIDS), :2] - centres).T)
        return _bumps(points, centres, vectors * gap[:, None], radii)

    @cached_property
    def rigid_points(self) -> Array:
        """(N, 2) portrait px: a lattice on skin that no expression and no blink ever moves.

        What remains is forehead, temples, nose bridge and upper cheeks: the hull of the mesh
        shrunk by a tenth, down to the nose base, less the eyes and the reach of every pull.
        """
        hull = cv2.convexHull(self.mesh[:, :2].astype(np.float32))[:, 0].astype(float)
        hull = hull.mean(axis=0) + 0.9 * (hull - hull.mean(axis=0))
        step = self.inter_ocular_px / 18.0
        xs, ys = (np.arange(hull[:, k].min(), hull[:, k].max(), step) for k in (0, 1))
        lattice = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
        outline = hull.astype(np.float32)
        keep = np.array(
            [cv2.pointPolygonTest(outline, (x, y), False) > 0 for x, y in lattice.tolist()]
        )
        for pulls in (*PULLS.values(), (_BLINK,)):
            for centre, _, radius in zip(*self._pulled(pulls), strict=True):
                keep &= np.hypot(*(lattice - centre).T) > radius
        for eye in eye_centres(self.mesh):
            keep &= np.hypot(*(lattice - eye).T) > 0.33 * self.inter_ocular_px
        left, right = eye_centres(self.mesh)
        down = np.array([left[1] - right[1], right[0] - left[0]])
        keep &= (lattice - self.mesh[2, :2]) @ down < 0.0
        return np.asarray(lattice[keep])


@dataclass(frozen=True, eq=False)
class Motion:
    """The head's pose in every frame, a scaled orthographic camera's view of it.

    Attributes
    ----------
    yaw, pitch, roll
        (n_frames,) degrees: the nose to the image's right, the nose up, the head clockwise.
    scale
        (n_frames,) factor.
    tx, ty
        (n_frames,) px.
    """

    yaw: Array
    pitch: Array
    roll: Array
    scale: Array
    tx: Array
    ty: Array

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.yaw)

    @classmethod
    def still(cls, n_frames: int) -> Motion:
        """Hold the head as in the portrait."""
        zero = np.zeros(n_frames)
        return cls(zero, zero, zero, np.ones(n_frames), zero, zero)

    @classmethod
    def wander(
        cls,
        n_frames: int,
        *,
        seed: int,
        yaw: float = 3.0,
        pitch: float = 2.0,
        roll: float = 2.0,
        scale: float = 0.015,
        shift: float = 5.0,
        fps: float = 30.0,
    ) -> Motion:
        """Move like a seated person: three sinusoids of 0.2 to 1.3 Hz in each freedom.

        Parameters
        ----------
        n_frames
            Length of the clip.
        seed
            Seed of frequencies and phases.
        yaw, pitch, roll, scale, shift
            The largest departure from rest that occurs in the clip: degrees, a fraction, px.
        fps
            Frames per second.
        """
        rng = np.random.default_rng(seed)
        time_s = np.arange(n_frames) / fps

        def wave(peak: float) -> Array:
            hertz = rng.uniform(0.2, 1.3, (3, 1))
            phase = rng.uniform(0.0, 2.0 * np.pi, (3, 1))
            weight = rng.uniform(0.5, 1.0, (3, 1)) / hertz
            sway = (weight * np.sin(2.0 * np.pi * hertz * time_s + phase)).sum(axis=0)
            return np.asarray(peak * sway / np.abs(sway).max())

        return cls(wave(yaw), wave(pitch), wave(roll), 1.0 + wave(scale), wave(shift), wave(shift))


@dataclass(frozen=True)
class Expression:
    """One expression from onset (the first frame) over its apex to offset (the last).

    Attributes
    ----------
    emotion
        A key of `PULLS`.
    amplitude_px
        Displacement of the landmark that moves most, at the apex, in px of a face whose
        inter-ocular distance is 90 px (so it does not depend on the size in the frame).
    apex_frame
        0-based.
    """

    emotion: str
    amplitude_px: float
    apex_frame: int

    def time_course(self, n_frames: int) -> Array:
        """Give the strength in each frame, (n_frames,) in 0..1: 1 at the apex and only there."""
        if not 0 <= self.apex_frame < n_frames:
            raise ValueError(
                f"apex_frame is {self.apex_frame}, expected 0 to {n_frames - 1}: "
                "the expression must reach its apex within the clip"
            )
        frames = np.arange(n_frames)
        rise = frames / max(self.apex_frame, 1)
        fall = (n_frames - 1 - frames) / max(n_frames - 1 - self.apex_frame, 1)
        way = np.where(frames < self.apex_frame, rise, fall)
        way[self.apex_frame] = 1.0
        return np.asarray(0.5 - 0.5 * np.cos(np.pi * way))


@dataclass(frozen=True)
class Blink:
    """A blink.

    Attributes
    ----------
    frame
        When the lids are lowest.
    closure
        How much of the eye's opening is then covered; beyond 0.7 the skin would fold.
    duration
        Frames from open to open.
    """

    frame: int
    closure: float = 0.6
    duration: int = 8

    def time_course(self, n_frames: int) -> Array:
        """Give the closure in each frame, (n_frames,)."""
        away = np.clip(np.abs(np.arange(n_frames) - self.frame) / (self.duration / 2.0), 0, 1)
        return np.asarray(self.closure * (0.5 + 0.5 * np.cos(np.pi * away)))


@dataclass(frozen=True, eq=False)
class ClipTruth:
    """Where every point of the portrait is in every frame of a clip.

    The model, for a point p of portrait coordinates with depth z(p) (`Face.depth`), an
    expression E(p) and the head's pose (A: the first two rows and columns of
    s R_roll R_yaw R_pitch; d: the third column's first two rows; c: the pivot):

        head(p)    = c + t + A (p + E(p) - c) + d (z(p) - z_c)
        forward(p) = p + w(p) (head(p) - p)

    with w = 1 on the whole face and falling to 0 in the background (`Face.attachment`).

    Attributes
    ----------
    face, motion
        The geometry and the pose.
    expression
        None for a clip of No_Emotion.
    blink
        None for none.
    """

    face: Face
    motion: Motion
    expression: Expression | None = None
    blink: Blink | None = None

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.motion.n_frames

    @property
    def amplitude_px(self) -> float:
        """Amplitude of the expression in portrait px, 0 if there is none."""
        if self.expression is None:
            return 0.0
        return self.expression.amplitude_px * self.face.inter_ocular_px / AMPLITUDE_INTER_OCULAR_PX

    @cached_property
    def states(self) -> Array:
        """(n_frames, 8): yaw, pitch, roll, scale, tx, ty, expression in portrait px, closure."""
        none = np.zeros(self.n_frames)
        course = none if self.expression is None else self.expression.time_course(self.n_frames)
        closure = none if self.blink is None else self.blink.time_course(self.n_frames)
        m = self.motion
        return np.column_stack(
            [m.yaw, m.pitch, m.roll, m.scale, m.tx, m.ty, self.amplitude_px * course, closure]
        )

    def _fields(self, points: Array) -> tuple[Array, Array]:
        """Give the unit displacements (..., 2) of the expression and of the blink."""
        zero = np.zeros(points.shape)
        return (
            zero
            if self.expression is None
            else self.face.expression_field(self.expression.emotion, points),
            zero if self.blink is None else self.face.blink_field(points),
        )

    @cached_property
    def _grid_fields(self) -> tuple[Floats, Floats]:
        expression, blink = self._fields(self.face.grid.astype(np.float64))
        return expression.astype(np.float32), blink.astype(np.float32)

    def _displace(
        self,
        state: Array,
        points: Array | Floats,
        attachment: Array | Floats,
        depth: Array | Floats,
        fields: tuple[Array, Array] | tuple[Floats, Floats],
    ) -> Array | Floats:
        """Give forward(points) - points, (..., 2) px, for one row of `states`.

        It computes in the precision of its arguments: single for a picture's worth of points.
        """
        yaw, pitch, roll = np.radians(state[:3])
        scale, shift, amplitude, closure = state[3], state[4:6], state[6], state[7]
        in_plane = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        turned = np.array(
            [
                [np.cos(yaw), np.sin(pitch) * np.sin(yaw), -np.cos(pitch) * np.sin(yaw)],
                [0.0, np.cos(pitch), np.sin(pitch)],
            ]
        )
        camera = scale * in_plane @ turned
        origin = self.face.pivot[:2] + shift - camera @ self.face.pivot
        x, y = points[..., 0], points[..., 1]
        if amplitude:
            x = x + float(amplitude) * fields[0][..., 0]
            y = y + float(amplitude) * fields[0][..., 1]
        if closure:
            x = x + float(closure) * fields[1][..., 0]
            y = y + float(closure) * fields[1][..., 1]
        displacement = np.empty_like(points)
        for axis, (row, start) in enumerate(zip(camera.tolist(), origin.tolist(), strict=True)):
            head = row[0] * x + row[1] * y + row[2] * depth + start
            displacement[..., axis] = attachment * (head - points[..., axis])
        return displacement

    def forward(self, points: Array, frame_index: int, expression: bool = True) -> Array:
        """Give the exact positions of portrait points in a frame.

        Parameters
        ----------
        points
            (N, 2) portrait px.
        frame_index
            0-based.
        expression
            False leaves out expression and blink: the head's motion alone.

        Returns
        -------
        (N, 2) frame px.
        """
        state = self.states[frame_index].copy()
        if not expression:
            state[6:] = 0.0
        points = np.asarray(points, dtype=float)
        return np.asarray(
            points
            + self._displace(
                state,
                points,
                self.face.attachment(points),
                self.face.depth(points),
                self._fields(points),
            )
        )

    def grid_displacement(self, state: Array) -> Floats:
        """Give forward(p) - p on the face's `grid`, (rows, columns, 2) px, for one state."""
        face = self.face
        return np.asarray(
            self._displace(
                state, face.grid, face.grid_attachment, face.grid_depth, self._grid_fields
            ),
            dtype=np.float32,
        )

    def rigid_points(self) -> Array:
        """(N, 2) portrait px: points on skin that only the head moves."""
        return self.face.rigid_points

    def deforming_points(self) -> Array:
        """(N, 2) portrait px: mesh landmarks that move at least half the amplitude."""
        if self.expression is None:
            return np.empty((0, 2))
        landmarks = self.face.mesh[:468, :2]
        moved = np.hypot(*self.face.expression_field(self.expression.emotion, landmarks).T)
        return np.asarray(landmarks[moved >= 0.5])


@dataclass(frozen=True)
class Appearance:
    """What makes one portrait look like several people.

    Attributes
    ----------
    mirror
        Swap left and right.
    tint
        Factors on red, green and blue.
    inter_ocular_px
        Size of the face in the frame.
    length
        Height of the face relative to the portrait's; the width stays.
    jaw
        How much wider the face gets from the eyes down to the chin, as a fraction.
    """

    mirror: bool = False
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    inter_ocular_px: float = 90.0
    length: float = 1.0
    jaw: float = 0.0


@dataclass(frozen=True, eq=False)
class Portrait:
    """A face and its texture.

    Attributes
    ----------
    face
        The geometry.
    texture
        (rows, columns, 3) RGB float32 in 0..255, at `oversampling` pixels per portrait pixel and
        with a margin around the frame, so that resampling it loses nothing. Portrait point p is
        at texture pixel (p + margin + 0.5) * oversampling - 0.5.
    """

    face: Face
    texture: Floats

    @staticmethod
    def texture_grid(width: int, height: int) -> Array:
        """Portrait coordinates (rows, columns, 2) of every texture pixel of a frame's size."""
        x, y = (
            (np.arange((extent + 2 * _MARGIN) * _OVERSAMPLING) + 0.5) / _OVERSAMPLING
            - 0.5
            - _MARGIN
            for extent in (width, height)
        )
        return np.stack(np.meshgrid(x, y), axis=-1)

    def sample(self, points: Array | Floats) -> Floats:
        """Resample the texture at portrait points (rows, columns, 2).

        Bilinear, because the texture is oversampled, and because OpenCV's bicubic and Lanczos
        kernels round positions to 1/32 px and do not even reproduce a ramp (0.05 px off).
        """
        x, y = np.moveaxis((points + (_MARGIN + 0.5)) * _OVERSAMPLING - 0.5, -1, 0)
        return _look_up(
            self.texture, x.astype(np.float32), y.astype(np.float32), cv2.BORDER_REFLECT_101
        )

    @cached_property
    def at_rest(self) -> Floats:
        """(height, width, 3) RGB in 0..255: the frame of a head at rest."""
        x, y = np.arange(self.face.width, dtype=float), np.arange(self.face.height, dtype=float)
        return self.sample(np.stack(np.meshgrid(x, y), axis=-1))


def detect_mesh(image: Image) -> Array:
    """Find the one face of a portrait with MediaPipe, in two steps for accuracy.

    Parameters
    ----------
    image
        (rows, columns, 3) RGB.

    Returns
    -------
    (478, 3) px of the image.

    Raises
    ------
    ValueError
        If there is no face.
    """
    # Takes half a second, and most users of this module never need it.
    from mediapipe.python.solutions.face_mesh import FaceMesh

    def landmarks(mesher: FaceMesh, picture: Image) -> Array:
        found = mesher.process(picture).multi_face_landmarks
        if not found:
            raise ValueError(
                f"no face found in an image of {picture.shape[1]} x {picture.shape[0]} px: "
                "give a portrait with one face, upright and at least 60 px wide"
            )
        rows, columns = picture.shape[:2]
        mesh = np.array([(p.x, p.y, p.z) for p in found[0].landmark])
        return np.asarray(mesh * (columns, rows, columns))

    with FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True) as mesher:
        rough = landmarks(mesher, image)
        low, high = rough[:, :2].min(axis=0), rough[:, :2].max(axis=0)
        margin = 0.6 * (high - low).max()
        x0, y0 = np.maximum(np.floor(low - margin), 0).astype(int)
        x1, y1 = np.ceil(high + margin).astype(int) + 1
        crop = image[y0:y1, x0:x1]
        factor = 1000.0 / max(crop.shape[:2])
        size = (round(crop.shape[1] * factor), round(crop.shape[0] * factor))
        fine = landmarks(mesher, np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC)))
    per_px = np.array([crop.shape[1] / size[0], crop.shape[0] / size[1]])
    fine[:, :2] = (fine[:, :2] + 0.5) * per_px - 0.5 + (x0, y0)
    fine[:, 2] *= per_px[0]
    return fine


def make_portrait(
    image: Image | None = None,
    appearance: Appearance | None = None,
    *,
    width: int = 640,
    height: int = 480,
) -> Portrait:
    """Make a portrait to render from a still image.

    Parameters
    ----------
    image
        (rows, columns, 3) RGB with one face; by default scikit-image's astronaut (Eileen
        Collins, photographed by NASA, public domain).
    appearance
        What to change; nothing by default.
    width, height
        Frame size in px. The face stands in its middle.

    Returns
    -------
    The portrait; its mesh was found by MediaPipe on the texture itself.
    """
    if image is None:
        # In the development group only: whoever brings an image does not need it.
        from skimage.data import astronaut

        image = np.asarray(astronaut(), dtype=np.uint8)  # type: ignore[no-untyped-call]
    look = appearance or Appearance()
    if look.mirror:
        image = np.ascontiguousarray(image[:, ::-1])
    mesh = detect_mesh(image)

    # Bring the image to the texture's resolution: first down to the frame's where it is finer,
    # which takes away what a frame could only show as aliasing, then up.
    eyes = eye_centres(mesh)
    per_px = look.inter_ocular_px / float(np.hypot(*(eyes[1] - eyes[0])))
    picture = image
    if per_px < 1.0:
        picture = _resize(picture, per_px, cv2.INTER_AREA)
    up = _OVERSAMPLING * per_px * image.shape[1] / picture.shape[1]
    picture = _resize(picture, up, cv2.INTER_LANCZOS4)
    ratio = np.array(picture.shape[1::-1]) / np.array(image.shape[1::-1])

    # Texture pixel -> portrait -> (undo the change of shape) -> image pixel.
    middle = (mesh[:, :2].min(axis=0) + mesh[:, :2].max(axis=0)) / 2.0
    x, y = np.moveaxis(Portrait.texture_grid(width, height), -1, 0)
    x, y = (x - (width - 1) / 2.0) / per_px, (y - (height - 1) / 2.0) / (per_px * look.length)
    eye_line = float(eyes[:, 1].mean() - middle[1])
    chin = float(mesh[152, 1] - middle[1])
    x = x / (1.0 + look.jaw * _smooth_step((y - eye_line) / (chin - eye_line)))
    x, y = (
        ((part + middle[k] + 0.5) * ratio[k] - 0.5).astype(np.float32)
        for k, part in enumerate((x, y))
    )
    texture = _look_up(picture.astype(np.float32), x, y, cv2.BORDER_REFLECT_101)
    texture = np.clip(texture * np.array(look.tint, dtype=np.float32), 0.0, 255.0)

    found = detect_mesh(np.rint(texture).astype(np.uint8))
    found[:, :2] = (found[:, :2] + 0.5) / _OVERSAMPLING - 0.5 - _MARGIN
    found[:, 2] /= _OVERSAMPLING
    return Portrait(Face(found, width, height), texture.astype(np.float32))


def _resize(image: Image, factor: float, interpolation: int) -> Image:
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class Light:
    """The light in every frame: what is seen is gain * image + offset.

    Attributes
    ----------
    gain, offset
        (n_frames,) factor; (n_frames,) grey levels of 255.
    """

    gain: Array
    offset: Array

    @classmethod
    def steady(cls, n_frames: int) -> Light:
        """Leave the light alone."""
        return cls(np.ones(n_frames), np.zeros(n_frames))

    @classmethod
    def stretch(
        cls, n_frames: int, start: int, stop: int, *, gain: float, offset: float = 0.0
    ) -> Light:
        """Change the light from frame `start` to before frame `stop`, as when a lamp is on."""
        inside = np.zeros(n_frames)
        inside[start:stop] = 1.0
        return cls(1.0 + (gain - 1.0) * inside, offset * inside)


@dataclass(frozen=True)
class Occluder:
    """A hand that passes in front of the face on a straight line.

    Attributes
    ----------
    start, stop
        Frames, half-open, between which it is in the picture.
    from_xy, to_xy
        Centre of the palm in frame px in the first and in the last of them.
    palm_px
        Half the palm's width.
    colour
        RGB in 0..255.
    """

    start: int
    stop: int
    from_xy: tuple[float, float]
    to_xy: tuple[float, float]
    palm_px: float = 45.0
    colour: tuple[float, float, float] = (196.0, 148.0, 126.0)

    def alpha(self, frame_index: int, width: int, height: int) -> Floats:
        """Give how much of each pixel it hides in a frame, (height, width) in 0..1."""
        mask = np.zeros((height, width), np.uint8)
        if self.start <= frame_index < self.stop:
            way = (frame_index - self.start) / max(self.stop - self.start - 1, 1)
            x, y = np.array(self.from_xy) + way * (np.array(self.to_xy) - self.from_xy)
            # OpenCV draws at a sixteenth of a pixel.
            bits, unit, palm = 4, 16, self.palm_px

            def at(dx: float, dy: float) -> tuple[int, int]:
                return round((x + dx * palm) * unit), round((y + dy * palm) * unit)

            size = (round(palm * unit), round(1.15 * palm * unit))
            cv2.ellipse(mask, at(0, 0), size, 0, 0, 360, 255, -1, cv2.LINE_AA, bits)
            for root, tip, reach in (
                (-0.72, -0.95, -2.2),
                (-0.25, -0.33, -2.6),
                (0.25, 0.3, -2.5),
                (0.7, 0.9, -2.0),
            ):
                thick = round(0.44 * palm)
                cv2.line(mask, at(root, -0.5), at(tip, reach), 255, thick, cv2.LINE_AA, bits)
            arm = (at(0, 0.6), at(0.3, 12.0))
            cv2.line(mask, *arm, 255, round(1.3 * palm), cv2.LINE_AA, bits)
        return np.asarray(cv2.GaussianBlur(mask.astype(np.float32) / 255.0, (0, 0), 1.2))

    def cover(self, image: Floats, frame_index: int) -> Floats:
        """Draw it over an image (height, width, 3) in 0..255."""
        height, width = image.shape[:2]
        alpha = self.alpha(frame_index, width, height)
        if not alpha.any():
            return image
        # Darker to the rim, so that it looks round.
        round_off = cv2.GaussianBlur(alpha, (0, 0), 0.25 * self.palm_px)
        shade = (0.55 + 0.45 * np.asarray(round_off))[..., None]
        hand = shade * np.array(self.colour, np.float32)
        return np.asarray(image + alpha[..., None] * (hand - image))


@dataclass(frozen=True, eq=False)
class Capture:
    """What the camera and the room add to the moving face.

    Attributes
    ----------
    light
        None for a steady light.
    noise_sigma
        Standard deviation of the sensor noise, grey levels of 255. It is noise of brightness:
        video coding leaves little of any other.
    shutter
        Exposure as a fraction of the frame interval, around the frame's own time: motion blur.
        The motion within an exposure is taken as uniform, so the blur has no offset.
    occluder
        None for none.
    seed
        Seed of the noise.
    """

    light: Light | None = None
    noise_sigma: float = 0.0
    shutter: float = 0.0
    occluder: Occluder | None = None
    seed: int = 0


_EXPOSURES = 5


def invert_displacement(displacement: Floats, tolerance_px: float = 3e-3) -> Floats:
    """Invert p -> p + D(p) on a grid by the fixed-point iteration p = q - D(p).

    Parameters
    ----------
    displacement
        (rows, columns, 2) px: D at the grid's pixel centres, changing by less than 1 px per px.
    tolerance_px
        Stop when no point moves further than this in a round; the result is several times
        nearer, as one more round refines it.

    Returns
    -------
    (rows, columns, 2) px: for each pixel q the point p with p + D(p) = q, from the grid's origin.

    Raises
    ------
    RuntimeError
        If it does not converge: the map folds.
    """
    rows, columns = displacement.shape[:2]
    targets = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    fields = [np.ascontiguousarray(d, np.float32) for d in np.moveaxis(displacement, -1, 0)]
    points = [q - d for q, d in zip(targets, fields, strict=True)]
    for _ in range(40):
        moved = [
            q - _look_up(d, points[0], points[1]) for q, d in zip(targets, fields, strict=True)
        ]
        change = max(float(np.abs(m - p).max()) for m, p in zip(moved, points, strict=True))
        points = moved
        if change < tolerance_px:
            break
    else:
        raise RuntimeError(
            f"points still moved by {change:.3g} px after 40 rounds, expected less than "
            f"{tolerance_px} px: make motion, expression or blink smaller"
        )
    # Bilinear interpolation overshoots a curved D by f (1 - f) / 2 times its second difference,
    # f being the fraction of a pixel: up to 0.01 px at the centre of an expression.
    fractions = [p - np.floor(p) for p in points]
    bend_x, bend_y = (0.5 * f * (1.0 - f) for f in fractions)
    exact = []
    for q, d in zip(targets, fields, strict=True):
        curved = np.zeros((rows, columns, 3), np.float32)
        curved[..., 0] = d
        curved[:, 1:-1, 1] = d[:, 2:] - 2.0 * d[:, 1:-1] + d[:, :-2]
        curved[1:-1, :, 2] = d[2:] - 2.0 * d[1:-1] + d[:-2]
        linear, in_x, in_y = np.moveaxis(_look_up(curved, points[0], points[1]), -1, 0)
        exact.append(q - linear + bend_x * in_x + bend_y * in_y)
    return np.stack(exact, axis=-1)


def render_frame(
    portrait: Portrait, truth: ClipTruth, frame_index: int, capture: Capture | None = None
) -> Image:
    """Render one frame.

    Parameters
    ----------
    portrait
        Whose face is the truth's face.
    truth
        Where every point is.
    frame_index
        0-based.
    capture
        What the camera adds; nothing by default.

    Returns
    -------
    (height, width, 3) RGB.
    """
    camera = capture or Capture()
    x0, y0, x1, y1 = portrait.face.moving_box
    states = truth.states
    if camera.shutter:
        before, after = max(frame_index - 1, 0), min(frame_index + 1, truth.n_frames - 1)
        velocity = (states[after] - states[before]) / max(after - before, 1)
        moments = (np.arange(_EXPOSURES) + 0.5) / _EXPOSURES - 0.5
    else:
        velocity, moments = np.zeros(states.shape[1]), np.zeros(1)

    image = portrait.at_rest.copy()
    moving = np.zeros((y1 - y0, x1 - x0, 3), np.float32)
    for moment in moments:
        state = states[frame_index] + moment * camera.shutter * velocity
        sources = invert_displacement(truth.grid_displacement(state))
        moving += portrait.sample(sources + np.array([x0, y0], np.float32))
    image[y0:y1, x0:x1] = moving / len(moments)

    if camera.occluder is not None:
        image = camera.occluder.cover(image, frame_index)
    if camera.light is not None:
        image = image * np.float32(camera.light.gain[frame_index]) + np.float32(
            camera.light.offset[frame_index]
        )
    if camera.noise_sigma:
        rng = np.random.default_rng((camera.seed, frame_index))
        noise = rng.standard_normal((*image.shape[:2], 1), dtype=np.float32)
        image = image + np.float32(camera.noise_sigma) * noise
    # Rounds to nearest and clips.
    return np.asarray(cv2.convertScaleAbs(np.maximum(image, 0.0)))


def render_clip(
    portrait: Portrait, truth: ClipTruth, capture: Capture | None = None
) -> Iterator[Image]:
    """Render a clip's frames in order; see `render_frame`."""
    for frame_index in range(truth.n_frames):
        yield render_frame(portrait, truth, frame_index, capture)
