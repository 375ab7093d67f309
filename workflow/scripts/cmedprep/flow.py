"""Optical flow from onset to apex, and the strain of the skin.

Flow and strain are images of the crop's size. The flow at a pixel of the onset says where that
bit of skin is in the apex: ``apex(p + flow(p)) = onset(p)``, in crop pixels, x to the right and y
down.

Parameters were chosen on rendered faces whose flow is known, for expressions of half a pixel to
three in a crop of 224 px, with noise and with a change of light; docs/motion.md has the figures.
"""

from typing import Any

import cv2
import numpy as np
from skimage.registration import optical_flow_tvl1

from cmedprep.geometry import Template, apply, resize
from cmedprep.skin import FACE_OVAL, depth_at, rigid_skin
from cmedprep.texture import normalise_contrast, to_grey_levels

PARAMETERS: dict[str, dict[str, Any]] = {
    "tvl1": {"attachment": 25.0, "tightness": 0.3, "num_warp": 5, "num_iter": 10, "tol": 1e-4},
    "farneback": {
        "pyr_scale": 0.5,
        "levels": 3,
        "winsize": 21,
        "iterations": 3,
        "poly_n": 5,
        "poly_sigma": 1.1,
        "flags": cv2.OPTFLOW_FARNEBACK_GAUSSIAN,
    },
    # The preset MEDIUM, but to the finest scale.
    "dis": {
        "FinestScale": 0,
        "PatchSize": 8,
        "PatchStride": 3,
        "GradientDescentIterations": 25,
        "VariationalRefinementIterations": 5,
        "VariationalRefinementAlpha": 20.0,
        "VariationalRefinementDelta": 5.0,
        "VariationalRefinementGamma": 10.0,
    },
}
"""Of each method, under the names that its library gives them."""

METHODS = tuple(PARAMETERS)

STRAIN_SMOOTHING_PX = 3.0

STRAIN_FORMULA = (
    "sqrt(exx^2 + eyy^2 + 2 exy^2), e = (grad w + (grad w)^T) / 2 by central differences, w the "
    f"flow smoothed by a Gaussian of standard deviation {STRAIN_SMOOTHING_PX:g} px"
)

_DEPTH_BANDWIDTH = 0.05  # inter-ocular distances
_DEPTH_STEP = 8  # pixels; skin is smooth
_EVERY = 3  # pixels; flow is smooth, too, and all of them would tell no more
_FEWEST_POINTS = 50
# OpenCV's Farneback takes the last row and column of the second image for black, and smears what
# follows from it over the windows of all levels: 0.5 px of flow between two equal crops.
_FARNEBACK_MARGIN = 32
_ROUNDS = 10
# Scale of the robust fit: per median distance, but not below the second, px.
_SCALE_PER_MEDIAN, _LEAST_SCALE = 1.5, 0.1


def flow_between(onset: np.ndarray, apex: np.ndarray, method: str) -> np.ndarray:
    """Measure the optical flow from one crop to another.

    The light may change: brightness and contrast around every pixel are made equal first.
    Without that a tenth of a stop makes TV-L1 report a pixel of motion all over the face.

    Parameters
    ----------
    onset, apex : ndarray, shape (height, width, 3), uint8
        RGB, aligned.
    method : str
        ``tvl1`` (Zach, Pock and Bischof 2007; scikit-image), ``farneback`` (Farneback 2003;
        OpenCV) or ``dis`` (Kroeger et al. 2016; OpenCV).

    Returns
    -------
    ndarray, shape (height, width, 2), float32
        Displacement to the right and down in px.

    Raises
    ------
    ValueError
        If the crops differ in size, or there is no such method.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}, expected one of {', '.join(METHODS)}")
    if onset.shape != apex.shape:
        raise ValueError(
            f"onset and apex are {onset.shape} and {apex.shape}, expected two crops of one size"
        )
    before, after = _evenly_lit(onset), _evenly_lit(apex)
    options = PARAMETERS[method]
    if method == "tvl1":
        down, right = optical_flow_tvl1(  # type: ignore[no-untyped-call]
            before / 255, after / 255, dtype=np.float32, **options
        )
        return np.stack([right, down], axis=-1)
    if method == "farneback":
        m = _FARNEBACK_MARGIN
        wide = [cv2.copyMakeBorder(x, m, m, m, m, cv2.BORDER_REPLICATE) for x in (before, after)]
        found = cv2.calcOpticalFlowFarneback(*wide, None, **options)  # type: ignore[call-overload]
        return np.ascontiguousarray(found[m:-m, m:-m])
    solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for name, value in options.items():
        getattr(solver, f"set{name}")(value)
    found = solver.calc(to_grey_levels(before), to_grey_levels(after), None)  # type: ignore[call-overload]
    return np.asarray(found)


def template_of_crop(template: Template, size: int) -> Template:
    """Return where a crop of any size has the eyes, as a template of that size."""
    factor = size / template.size
    x, y = apply(resize(template.size, size), np.array([template.eye_midpoint]))[0].tolist()
    return Template(size, factor * template.inter_ocular, (x, y))


def remove_rigid(flow: np.ndarray, landmarks: np.ndarray | None, template: Template) -> np.ndarray:
    """Take out of a flow what is the head's and not the skin's; see `rigid_motion`.

    Returns
    -------
    ndarray, shape (size, size, 2), float32
        What is left is the expression.
    """
    return np.asarray(flow - rigid_motion(flow, landmarks, template), dtype=np.float32)


def rigid_motion(flow: np.ndarray, landmarks: np.ndarray | None, template: Template) -> np.ndarray:
    """Return the motion of the head that a flow contains.

    No alignment by similarity undoes the parallax of a turning head, and that is more than an
    expression: 0.8 px at 2 degrees, mean over the face. So an affine camera that knows the
    depth of the mesh, ``A [x y z] + t`` (Koenderink and van Doorn 1991), is fitted to the flow on
    skin that moves with the head: forehead, temples, nose, upper cheeks. The fit is robust,
    by iteratively reweighted least squares (Geman and McClure 1987): what moves on its own
    there, a frown or a hand, loses its say.

    Parameters
    ----------
    flow : ndarray, shape (size, size, 2)
        In crop px.
    landmarks : ndarray, shape (478, 3), optional
        The face's mesh in crop px (`expression.crop_landmarks`). Without it a similarity is fitted
        to the upper half of a typical face; parallax stays.
    template : Template
        Of the crop, and of its size (`template_of_crop`).

    Returns
    -------
    ndarray, shape (size, size, 2)
        In crop px. Away from the face it is extrapolated.
    """
    x, y = np.moveaxis(_places(template), -1, 0)
    one, none = np.ones_like(x), np.zeros_like(x)
    lattice = np.zeros(x.shape, dtype=bool)
    lattice[::_EVERY, ::_EVERY] = True
    if landmarks is not None:
        skin = lattice & rigid_skin(landmarks, template)[0]
    if landmarks is not None and skin.sum() >= _FEWEST_POINTS:
        z = _depth(landmarks, template) / template.inter_ocular
        across = [one, none, x, y, none, none, z, none]
        down = [none, one, none, none, x, y, none, z]
    else:
        skin = lattice & _typical_skin(x, y)
        across, down = [one, none, x, -y], [none, one, y, x]
    design = np.stack([np.stack(across, axis=-1), np.stack(down, axis=-1)], axis=-2)
    return np.asarray(design @ _fit(design[skin], flow[skin].astype(float)))


def _typical_skin(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mark an oval above the base of the nose and without the eyes, by inter-ocular distances."""
    oval = np.hypot(x / 0.75, (y - 0.15) / 0.85) < 1
    eyes = np.hypot((np.abs(x) - 0.5) / 0.32, y / 0.2) < 1
    skin: np.ndarray = oval & ~eyes & (y < 0.5)
    return skin


def _fit(design: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Fit flow (n, 2) robustly by design (n, 2, k) @ parameters (k,)."""
    weights = np.ones(len(flow))
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)[:, None]
        rows = (design * root[..., None]).reshape(-1, design.shape[-1])
        parameters: np.ndarray = np.linalg.lstsq(rows, (flow * root).ravel(), rcond=None)[0]
        distance = np.hypot(*(design @ parameters - flow).T)
        scale = max(_SCALE_PER_MEDIAN * float(np.median(distance)), _LEAST_SCALE)
        weights = 1 / np.square(1 + np.square(distance / scale))
    return parameters


def _depth(landmarks: np.ndarray, template: Template) -> np.ndarray:
    """Return the depth of the mesh at every pixel of the crop, (size, size) px."""
    size = template.size
    ticks = np.arange(0, size + _DEPTH_STEP, _DEPTH_STEP, dtype=float)
    knots = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    depth = depth_at(knots, landmarks, _DEPTH_BANDWIDTH * template.inter_ocular)
    grid = depth.reshape(len(ticks), len(ticks)).astype(np.float32)
    at = np.arange(size, dtype=np.float32) / _DEPTH_STEP
    return np.asarray(cv2.remap(grid, *np.meshgrid(at, at), cv2.INTER_LINEAR))


def optical_strain(flow: np.ndarray, smoothing_px: float = STRAIN_SMOOTHING_PX) -> np.ndarray:
    """Return how much the skin is deformed: the magnitude of the infinitesimal strain.

    `STRAIN_FORMULA` says how it is computed (Shreve et al. 2009, 2011; Liong et al. 2014).
    Translation has none, and rotation none to first order. The flow is smoothed first, as
    skin deforms over centimetres, and differences of neighbouring pixels are mostly noise.

    Parameters
    ----------
    flow : ndarray, shape (height, width, 2)
        In crop px.
    smoothing_px : float
        Standard deviation of the Gaussian; 0 for none.

    Returns
    -------
    ndarray, shape (height, width), float32
        Without unit: px per px.
    """
    # Continued so that a linear flow stays linear, its strain is right up to the edge.
    margin = int(np.ceil(4 * smoothing_px)) + 1
    around = ((margin, margin), (margin, margin), (0, 0))
    wide = np.pad(flow.astype(np.float64), around, mode="reflect", reflect_type="odd")
    if smoothing_px:
        wide = np.asarray(cv2.GaussianBlur(wide, (0, 0), smoothing_px))
    inside = slice(margin, -margin)
    u_y, u_x = np.gradient(wide[..., 0])
    v_y, v_x = np.gradient(wide[..., 1])
    shear = (u_y + v_x) / 2
    strain = np.sqrt(np.square(u_x) + np.square(v_y) + 2 * np.square(shear))
    return np.asarray(strain[inside, inside], dtype=np.float32)


def face_mask(landmarks: np.ndarray | None, template: Template) -> np.ndarray:
    """Mark the face in a crop, (size, size) bool: where a flow without the head means something.

    Parameters
    ----------
    landmarks : ndarray, shape (478, 2 or 3), optional
        The face's mesh in crop px. Without it the oval of a typical face is taken.
    template : Template
        Of the crop, and of its size (`template_of_crop`).
    """
    if landmarks is None:
        x, y = np.moveaxis(_places(template), -1, 0)
        typical: np.ndarray = np.hypot(x / 1.05, (y - 0.38) / 1.25) < 1
        return typical
    mask = np.zeros((template.size, template.size), np.uint8)
    outline = cv2.convexHull(np.rint(landmarks[list(FACE_OVAL), :2]).astype(np.int32))
    cv2.fillConvexPoly(mask, outline, 1)
    return mask.astype(bool)


def _places(template: Template) -> np.ndarray:
    """Return the pixels of a crop in inter-ocular distances from between the eyes, (s, s, 2)."""
    pixels = np.stack(np.meshgrid(*2 * [np.arange(template.size)]), axis=-1)
    places: np.ndarray = (pixels - np.array(template.eye_midpoint)) / template.inter_ocular
    return places


def _evenly_lit(crop: np.ndarray) -> np.ndarray:
    """Return a crop in grey, everywhere of the same brightness and contrast, float32."""
    return normalise_contrast(cv2.cvtColor(crop.astype(np.float32), cv2.COLOR_RGB2GRAY))
