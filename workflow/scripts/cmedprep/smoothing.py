"""Smooth an alignment over time, but only as strongly as its measurements contradict each other.

Nothing happens to a clear clip, much to one that the codec has mangled.
"""

import numpy as np

from cmedprep.geometry import Template, from_complex, invert, to_complex

# How much worse the measurements may be than they say, in variance.
_MIN_NOISE_FACTOR, _MAX_NOISE_FACTOR = 1.0, 30.0
_MOST_SMOOTHING = 2.0  # standard errors
# Of the acceleration that tracks and landmarks share; a codec's errors are shared as well.
_REAL = 0.5
_LOST_VARIANCE = 1e4  # px**2, of a frame without a face
_MIN_SMOOTHED, _PIECE = 8, 240  # frames


def smooth_alignment(
    matrix: np.ndarray,
    variance: np.ndarray,
    witnesses: tuple[np.ndarray, np.ndarray],
    template: Template,
) -> np.ndarray:
    """Smooth the face's path through the source frames as far as the errors justify it.

    What two independent ways of measuring have both seen is the head's own motion, and stays.

    Parameters
    ----------
    matrix : ndarray, shape (n, 2, 3)
        Source pixel to crop pixel; NaN where there is no face, but not everywhere.
    variance : ndarray, shape (n,)
        Of the matrices on skin, in px**2.
    witnesses : tuple of two ndarrays, shape (n, 2, 3)
        The matrices by two ways of measuring that err independently; NaN where one has none.
    template : Template
        Where the face stands.

    Returns
    -------
    ndarray, shape (n, 2, 3)
    """
    middle = complex(*template.eye_midpoint)
    to_crop_px = 1.0 / np.nanmedian(np.abs(to_complex(invert(matrix))[0]))

    def path_of(matrix: np.ndarray) -> np.ndarray:
        """Return where the face stands and how far its eyes are apart, in crop px, (n, 4)."""
        factor, shift = to_complex(invert(matrix))
        place = (factor * middle + shift) * to_crop_px
        arm = factor * (template.inter_ocular * to_crop_px)
        return np.column_stack([place.real, place.imag, arm.real, arm.imag])

    path = path_of(matrix)
    least = _REAL * shared_acceleration(*(path_of(witness) for witness in witnesses))
    # Time goes on where the face is lost.
    known = np.isfinite(path).all(axis=1)
    frames = np.arange(len(path))
    whole = np.column_stack([np.interp(frames, frames[known], c[known]) for c in path.T])
    whole = smooth_in_pieces(whole, np.where(known, variance / 2.0, _LOST_VARIANCE), least)
    whole = np.where(known[:, None], whole, np.nan) / to_crop_px

    factor = (whole[:, 2] + 1j * whole[:, 3]) / template.inter_ocular
    return invert(from_complex(factor, whole[:, 0] + 1j * whole[:, 1] - factor * middle))


def shared_acceleration(one: np.ndarray, other: np.ndarray) -> float:
    """Return the least variance that a path's second differences have for real.

    Two instruments that err independently agree only on what is there: the covariance of what
    they measure is the variance of the thing itself (Grubbs 1948). Less twice its standard
    error, and not below 0.

    Parameters
    ----------
    one, other : ndarray, shape (n, k)
        The path by two ways of measuring; NaN where there is none.
    """
    product = np.diff(one, n=2, axis=0) * np.diff(other, n=2, axis=0)
    product = product[np.isfinite(product).all(axis=1)]
    if len(product) < _MIN_SMOOTHED:
        return 0.0
    # Neighbouring second differences share frames, so half of them say something new.
    error = product.std() / np.sqrt(product.size / 2.0)
    return max(0.0, float(product.mean() - 2.0 * error))


def smooth_in_pieces(path: np.ndarray, variance: np.ndarray, least: float = 0.0) -> np.ndarray:
    """Do `smooth` on overlapping pieces, so that cost grows with length and not with its cube."""
    total, share = np.zeros_like(path), np.zeros((len(path), 1))
    for start in range(0, max(len(path) - _PIECE // 2, 1), _PIECE // 2):
        part = slice(start, start + _PIECE)
        n = len(path[part])
        fade = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1))[:, None].astype(float)
        total[part] += fade * smooth(path[part], variance[part], least)
        share[part] += fade
    return total / share


def smooth(path: np.ndarray, variance: np.ndarray, least: float = 0.0) -> np.ndarray:
    """Take out of a path what the measurements' own uncertainty accounts for.

    The path accelerates at random, with variance q; a measurement errs with variance k v_t,
    where v_t is known and k makes up for what v_t cannot see (blunders that the whole face
    shares). With D the second differences,

        D y ~ N(0, C),  C = q I + k D V D';  noise = E[noise | y] = k V D' C^-1 D y

    q and k come from the likelihood of D y, so a path that is rough because the head is
    stays rough: noise and acceleration differ in colour. A start of the head is not smoothed
    away either: no point moves by more than 2 standard errors, and q is not below what is known
    to be real, even if the measurements then have to be better than they say (k below 1).

    Parameters
    ----------
    path : ndarray, shape (n, k)
        Any number of channels with the same q, k and v.
    variance : ndarray, shape (n,)
        Above 0; large where there was no measurement.
    least : float
        Variance that the acceleration has at least.

    Returns
    -------
    ndarray, shape (n, k)
        The path itself where it is shorter than 8 frames, or too smooth to hold such noise.
    """
    n = len(path)
    if n < _MIN_SMOOTHED:
        return path
    second = np.diff(np.eye(n), n=2, axis=0)
    eigenvalues, vectors = np.linalg.eigh(second * variance @ second.T)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    rotated = vectors.T @ (second @ path)
    ratio = np.logspace(-6.0, 6.0, 49) / variance.min()
    inflation = 1.0 + ratio[:, None] * eigenvalues
    q = (np.square(rotated).sum(axis=1) / inflation).mean(axis=1) / path.shape[1]
    # A path that stands perfectly still has q = 0 and nothing to smooth.
    cost = np.log(np.maximum(q, np.finfo(float).tiny)) + np.log(inflation).mean(axis=1)
    factor = ratio * q
    allowed = (factor <= _MAX_NOISE_FACTOR) & (q >= least)
    as_stated = allowed & (factor >= _MIN_NOISE_FACTOR)
    if as_stated.any() or least == 0.0:
        allowed = as_stated
    if not allowed.any():
        return path
    best = int(np.where(allowed, cost, np.inf).argmin())
    weighted = vectors @ (rotated / inflation[best][:, None])
    noise = ratio[best] * variance[:, None] * (second.T @ weighted)
    bound = _MOST_SMOOTHING * np.sqrt(variance)[:, None]
    smoothed: np.ndarray = path - np.clip(noise, -bound, bound)
    return smoothed
