"""How the data were made, in sentences that a paper can take, and whom to cite."""

from collections.abc import Mapping, Sequence
from typing import Any

from cmedprep.crate import NAME, RELEASED, VERSION

TITLE = f"{NAME}: reproducible preprocessing of the Child Micro-Expression Dataset"

BIBTEX = f"""@software{{cmed_preprocessing,
  title   = {{{TITLE}}},
  author  = {{{{The authors of {NAME}}}}},
  version = {{{VERSION}}},
  year    = {{{RELEASED[:4]}}},
  license = {{MIT}}
}}"""

_ALIGNMENT = {
    "stabilised": "one similarity for each frame, from landmarks refined by tracked skin",
    "landmarks": "one similarity for each frame, from rigid landmarks of that frame alone",
    "first_frame": "the similarity of the clip's first frame with a face, the same for all frames",
}
_SCHEMES = {
    "phase": "{slots} slots, evenly from onset to apex and from apex to offset",
    "window": "the apex and {radius} frames on each side",
    "keyframes": "onset, apex and offset",
    "uniform": "{slots} slots, evenly from onset to offset",
    "tim": "{slots} images, interpolated between frames",
}

_DISTINCT = ", frames that repeat an earlier one left out"
_CERTIFIED = (
    " What motion remains was measured on skin that the fit did not use, and graded A, B or C."
)


def methods_text(
    made_by: Mapping[str, Mapping[str, Any]], packages: Mapping[str, str], counts: Mapping[str, int]
) -> Sequence[str]:
    """Return paragraphs for the methods section of a paper.

    Parameters
    ----------
    made_by : mapping
        Parameters by stage, and in `sample_apex` by scheme, as manifests have them in `upstream`.
    packages : mapping
        Versions by name.
    counts : mapping
        `rows`, `usable`, `aligned` and `subjects`.
    """
    alignment = made_by["align_faces"]["parameters"]["alignment"]
    crop = made_by["extract_frames"]["parameters"]["crop"]
    template = alignment["template"]
    score = made_by["detect_faces"]["parameters"]["detection"]["min_confidence"]
    scale = crop["size"] / template["size"]
    schemes = [part["parameters"]["sampling"]["scheme"] for part in made_by["sample_apex"].values()]
    sampled = "; ".join(
        f"{scheme['name']} ({_SCHEMES[scheme['method']].format(**scheme)}"
        f"{_DISTINCT if scheme.get('frames') == 'distinct' else ''})"
        for scheme in schemes
    )
    return (
        f"Clips were preprocessed with {NAME} {VERSION}. Of {counts['rows']:,} rows of the "
        f"metadata of {counts['subjects']:,} subjects, {counts['aligned']:,} clips were aligned "
        f"and {counts['usable']:,} were usable; every other row is listed with the reason why not.",
        f"Faces were found with MediaPipe {packages['mediapipe']} (478 landmarks; lowest "
        f"score {score}). Head motion was removed by {_ALIGNMENT[alignment['method']]}, which was "
        "applied to the source frame once. "
        f"Aligned images are {crop['size']} by {crop['size']} px with "
        f"{template['inter_ocular'] * scale:g} px between the eyes. Gaps of up to "
        f"{alignment['max_gap']} frames without a face were bridged by interpolation."
        + (_CERTIFIED if alignment["method"] == "stabilised" else ""),
        f"Frames were sampled as {sampled}.",
    )
