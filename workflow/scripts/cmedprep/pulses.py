"""Find the one motion, among many noisy ones, that rises once and falls.

An expression moves all its places by one time course, from onset over apex towards offset. Noise,
what a codec loses, and what is left of the head's motion do not: they drift, each place in its
own way. The model of the curves y of k places in n frames is

    y_i = a_i c + n_i,    n_i ~ N(0, v_i D + H_i),    a_i ~ N(0, reach^2)

where c is a pulse out of a family, D holds noise and drift, and H_i the head's turn, by which a
place moves that lies nearer or farther than assumed. Both are integrated out in closed form;
the variances v_i come from what the pulse leaves over, in a few rounds.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

_MOST_BINS = 64  # of a longer clip, neighbouring frames are averaged to find the pulse
_ROUNDS = 3
# Of a variance: the share that drifts, and how long that is remembered, in clips.
_DRIFT, _MEMORY = 0.4, 0.3
# Of the variances of the places: how far they are pulled to what their texture promises.
_SHRINK = 0.35
_ANY_LEVEL = 1e3
# What a less usual pulse has to make up for, in natural logarithms of likelihood.
_UNUSUAL = 4.0
# How long it is held to either side of the apex, in clips; which part of the way up passes before
# it starts, below 0 if it has begun before the clip; which part of the way down is left when it
# ends, below 0 if the clip ends before. Each with how unusual it is.
_HOLDS = ((0.0, 0), (0.1, 1), (0.25, 2))
_WAITS = ((0.0, 0), (0.35, 1), (0.7, 2), (-0.15, 1))
_RESTS = ((0.0, 0), (0.35, 1), (0.7, 2), (-0.7, 1), (-1e6, 2))
_MOST_AT_ONSET = 0.5


@dataclass(frozen=True, slots=True)
class Pulse:
    """The motion that rises and falls.

    Attributes
    ----------
    mode : ndarray, shape (k,)
        How far each place moves from onset to apex.
    measured : ndarray, shape (n,)
        The measured time course: the places' motion along `mode`, 0 on average and 1 as far as
        from onset to apex.
    fitted : ndarray, shape (n,)
        The pulse that fits best, of the same mean and scale.
    evidence : float
        Logarithm of how much likelier the curves are with the pulse than without one.
    """

    mode: np.ndarray
    measured: np.ndarray
    fitted: np.ndarray
    evidence: float


@lru_cache(maxsize=64)
def pulses(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the family of pulses in n frames, and how unusual each of them is.

    A raised cosine from the first frame to the apex and from there to the last is the usual one:
    clips are cut from onset to offset. One may also start later or have begun before the clip,
    be held, end early, fall only in part or not at all.

    Parameters
    ----------
    n : int
        At least 3.

    Returns
    -------
    pulses : ndarray, shape (m, n)
        0 to 1.
    unusual : ndarray, shape (m,)
        In natural logarithms of likelihood.
    """
    kinds = np.array([(*h, *w, *r) for h, w, r in product(_HOLDS, _WAITS, _RESTS)])
    hold, held, wait, late, rest, soon = np.tile(kinds, (n - 1, 1)).T
    apex = np.repeat(np.arange(1, n), len(kinds))
    way_up = np.maximum(apex - hold * n, 0.0)
    way_down = np.maximum(n - 1 - apex - hold * n, 0.0)
    t = np.arange(n)[:, None]
    rise = (t - wait * way_up) / np.maximum((1.0 - wait) * way_up, 1.0)
    fall = (n - 1 - rest * way_down - t) / np.maximum((1.0 - rest) * way_down, 1.0)
    family = 0.5 - 0.5 * np.cos(np.pi * np.clip(np.minimum(rise, fall), 0.0, 1.0)).T
    usable = family[:, 0] < _MOST_AT_ONSET
    return family[usable], _UNUSUAL * (held + late + soon)[usable]


def find_pulse(
    curves: np.ndarray, covariance: np.ndarray, turn: np.ndarray, exposed: np.ndarray, reach: float
) -> Pulse | None:
    """Find the pulse that explains most, and the motion that follows it.

    Parameters
    ----------
    curves : ndarray, shape (n, k)
        Motion of the places.
    covariance : ndarray, shape (k, k)
        Of the noise of one frame's motions, as far as the picture tells.
    turn : ndarray, shape (n, 2)
        By how much a unit of depth has moved in x and y.
    exposed : ndarray, shape (2, k)
        Standard deviation of the depth by which each place follows the turn in x and y without
        our knowing.
    reach : float
        Standard deviation of what places move by in an expression.

    Returns
    -------
    Pulse or None
        None if nothing moves.
    """
    curves = curves - curves.mean(axis=0)
    turn = turn - turn.mean(axis=0)
    # Axes in which the noise of one frame is independent.
    variance, axes = np.linalg.eigh(covariance)
    rotated = curves @ axes
    exposure = np.square(exposed) @ np.square(axes)
    bins = _bins(len(curves))
    binned, head = bins @ rotated, bins @ turn
    family, unusual = pulses(len(binned))
    noise = variance / (bins > 0).sum(axis=1).mean()
    for _ in range(_ROUNDS):
        score, strength = score_pulses(binned, family, noise, head, exposure, reach)
        best = int((score - unusual).argmax())
        mode = strength[best]
        rest = binned - np.outer(family[best] - family[best].mean(), mode)
        left = np.maximum(np.square(rest).mean(axis=0), 1e-12)
        promised = variance * np.exp(np.log(left / variance).mean())
        found = noise
        noise = promised**_SHRINK * left ** (1.0 - _SHRINK)
    weight = mode / found
    total = float(mode @ weight)
    if total < 1e-9:
        return None
    course = np.interp(np.arange(len(curves)), bins @ np.arange(len(curves)), family[best])
    return Pulse(
        mode=axes @ mode,
        measured=rotated @ weight / total,
        fitted=course - course.mean(),
        evidence=float(score[best]),
    )


def _bins(n: int) -> np.ndarray:
    """Return a matrix that averages n frames into at most `_MOST_BINS`, (bins, n)."""
    m = min(n, _MOST_BINS)
    member = np.arange(n) * m // n == np.arange(m)[:, None]
    bins: np.ndarray = member / member.sum(axis=1, keepdims=True)
    return bins


def score_pulses(
    curves: np.ndarray,
    family: np.ndarray,
    noise: np.ndarray,
    turn: np.ndarray,
    exposure: np.ndarray,
    reach: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Compare each pulse of a family with no pulse.

    Parameters
    ----------
    curves : ndarray, shape (n, k)
        Motion along axes in which noise is independent.
    family : ndarray, shape (m, n)
        Pulses, see `pulses`.
    noise : ndarray, shape (k,)
        Variance of each axis, of which a part drifts.
    turn : ndarray, shape (n, 2)
        As for `find_pulse`.
    exposure : ndarray, shape (2, k)
        Variance of the depth by which each axis follows the turn.
    reach : float
        As for `find_pulse`.

    Returns
    -------
    score : ndarray, shape (m,)
        Logarithm of the ratio of likelihoods.
    strength : ndarray, shape (m, k)
        The expected motion of each axis by a pulse of height 1.
    """
    t = np.arange(len(curves))
    drift = np.exp(-np.abs(t[:, None] - t) / (_MEMORY * len(t)))
    inverse = np.linalg.inv((1.0 - _DRIFT) * np.eye(len(t)) + _DRIFT * drift + _ANY_LEVEL)
    # The turn adds two directions to D; its inverse follows by Woodbury's identity.
    family_inverse, turn_inverse = family @ inverse, inverse @ turn
    pulse_pulse = (family_inverse * family).sum(axis=1)
    pulse_turn, turn_turn = family_inverse @ turn, turn.T @ turn_inverse
    pulse_curve, turn_curve = family_inverse @ curves, turn_inverse.T @ curves
    score, strength = np.zeros(len(family)), np.empty((len(family), len(noise)))
    for i, v in enumerate(noise):
        mixed = np.linalg.inv(np.diag(v / np.maximum(exposure[:, i], 1e-12)) + turn_turn)
        seen = pulse_turn @ mixed
        gain = (pulse_pulse - (seen * pulse_turn).sum(axis=1)) / v
        match = (pulse_curve[:, i] - seen @ turn_curve[:, i]) / v
        strength[:, i] = match / (gain + 1.0 / reach**2)
        score += 0.5 * (match * strength[:, i] - np.log1p(reach**2 * gain))
    return score, strength
