r"""Make images at moments between frames: the temporal interpolation model (TIM) in closed form.

Zhou, Zhao and Pietikäinen (Towards a practical lipreading system, CVPR 2011) take the frames
of a clip for the nodes of a path graph. The eigenvectors of its Laplacian are samples of
smooth curves: with frames i = 1 … n,

    y_k(t) = sin(pi k t + pi (n - k) / (2 n)),    k = 1 … n - 1,    t = i / n.

They then seek, by a singular value decomposition and an eigenproblem, the linear map that
takes the frames x_i, less their mean, to these samples, continue the curve to any t in
[1/n, 1], and invert the map. The image at t is the x = X c with Y c = y(t), where row k of Y
holds y_k(i / n). With angles theta = pi (n t - 1/2) / n, and theta_i for the frames,
y_k = cos(k theta): Y is the discrete cosine transform DCT-II without its constant row, and its
rows are orthogonal. Hence, for frames whose differences from their mean have rank n - 1,

    c_i(t) = (1 + 2 sum_k cos(k theta_i) cos(k theta)) / n,

which does not depend on the frames at all. As cos(k theta) is a polynomial of degree k in
cos(theta), c_i is the Lagrange polynomial of the nodes cos(theta_i), which are those of
Chebyshev: TIM passes a polynomial in cos(theta) through the frames, pixel by pixel. The
barycentric formula (Berrut and Trefethen, SIAM Review 2004) gives it without sums over k, and
is stable for any number of frames. Nothing is solved, so nothing fails when frames are equal.
"""

from collections.abc import Iterable, Sequence

import numpy as np

_AT_A_NODE = 1e-9  # in nodes; nearer than this to one, a place is that node
_QUANTUM = 2.0**-36


def tim_weights(nodes: Sequence[int] | np.ndarray, positions: Sequence[float]) -> np.ndarray:
    """Return the weights of a clip's frames in the images at given positions.

    Between two nodes the curve is run through at constant speed, however many frames of the
    clip are missing there. Positions before the first node or after the last are at that node:
    the curve ends there, and nothing is extrapolated.

    Weights are multiples of 2**-36 and each row sums to exactly 1. With pixels of 8 bits all
    sums are therefore exact in double precision, in any order, and what does not move in the
    frames does not change in the images. At a node the weights are exactly 1 and 0.

    Parameters
    ----------
    nodes : sequence of int, shape (n_nodes,)
        Positions of the frames there are, rising, in frames of the clip.
    positions : sequence of float, shape (n_slots,)
        Positions of the images wanted, in frames of the clip.

    Returns
    -------
    ndarray, shape (n_slots, n_nodes)

    Raises
    ------
    ValueError
        There is no node, or the nodes do not rise, or a position is no finite number.

    Examples
    --------
    >>> tim_weights([0, 1], [0.0, 0.5, 1.0]).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    known, wanted = np.asarray(nodes, float), np.asarray(positions, float)
    if known.ndim != 1 or not known.size or np.any(np.diff(known) <= 0):
        raise ValueError(f"nodes must be rising numbers, at least one; found {nodes!r}")
    if wanted.ndim != 1 or not np.isfinite(wanted).all():
        raise ValueError(f"positions must be finite numbers; found {positions!r}")
    count = len(known)
    places = np.interp(wanted, known, np.arange(count))
    nearest = np.rint(places)
    places = np.where(np.abs(places - nearest) < _AT_A_NODE, nearest, places)
    weights: np.ndarray = np.array([_weights_at(p, count) for p in places]).reshape(-1, count)
    return weights


def _weights_at(place: float, count: int) -> np.ndarray:
    """Return the weights of `count` nodes at a place in [0, count - 1] among them."""
    if place == int(place):
        weights: np.ndarray = np.eye(1, count, int(place))[0]
        return weights
    nodes = np.arange(count)
    # cos(a) - cos(b) as a product, which loses no digits where a is close to b
    distances = np.sin(np.pi * (place + nodes + 1) / (2 * count)) * np.sin(
        np.pi * (place - nodes) / (2 * count)
    )
    weights = (-1.0) ** nodes * np.sin(np.pi * (nodes + 0.5) / count) / distances
    weights = np.rint(weights / weights.sum() / _QUANTUM) * _QUANTUM
    weights[round(place)] += 1 - weights.sum()
    return weights


def interpolate(images: Iterable[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Return weighted sums of images, rounded half to even and clipped to [0, 255].

    Images are taken one at a time, and none is kept.

    Parameters
    ----------
    images : iterable of ndarray, shape (h, w, 3), uint8
        The frames at the nodes of `weights`, in their order.
    weights : ndarray, shape (n_slots, n_nodes)
        As `tim_weights` returns them.

    Returns
    -------
    ndarray, shape (n_slots, h, w, 3), uint8

    Raises
    ------
    ValueError
        There are more or fewer images than nodes, or their shapes differ.
    """
    n_slots, n_nodes = weights.shape
    sums = np.empty(0)
    term = sums
    taken = 0
    for image in images:
        if not taken:
            sums, term = np.zeros((n_slots, *image.shape)), np.empty(image.shape)
        if taken == n_nodes or image.shape != term.shape:
            raise ValueError(
                f"image {taken} has shape {image.shape}: expected {n_nodes} images "
                f"of shape {term.shape}"
            )
        for total, weight in zip(sums, weights[:, taken], strict=True):
            if weight:
                total += np.multiply(image, weight, out=term)
        taken += 1
    if taken != n_nodes:
        raise ValueError(f"expected {n_nodes} images, one for each node; found {taken}")
    return np.clip(np.rint(sums, out=sums), 0, 255, out=sums).astype(np.uint8)
