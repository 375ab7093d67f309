"""What the manifest makes of a clip's stages."""

from typing import Any

import pytest

from cmedprep.manifest import summarise_clip

CLIP = {
    "clip_id": "S1/Happy/a", "processed": True, "n_frames": 4, "status": "ok", "reason": "",
    "apex_frame": 2, "apex_source": "annotated",
}  # fmt: skip


@pytest.mark.parametrize(
    ("written", "with_face", "status"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3], "ok"),
        ([0, 1, 2, 3], [0, 1, 3], "apex_without_face"),  # bridged: an image, and no face in it
        ([0, 1], [0, 1], "apex_without_face"),
        ([], [], "no_face"),
    ],
)
def test_an_apex_frame_needs_a_face_and_not_only_an_image(
    written: list[int], with_face: list[int], status: str
) -> None:
    stage: dict[str, Any] = {
        "frames": written, "with_face": with_face, "n_stabilised": len(with_face),
        "residual_jitter_px": 0.1, "residual_drift_px": 0.1,
    }  # fmt: skip
    row = summarise_clip(CLIP, [{"S1/Happy/a": stage}], {}, {})
    assert (row["status"], row["n_written"]) == (status, len(written))
    assert not {"frames", "with_face"} & row.keys()
