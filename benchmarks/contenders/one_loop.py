"""The same faces, matrices and images in one loop, each clip decoded once: `one_loop.py LIST OUT`.

The workflow's own functions, without what makes it one: no jobs, no probe, no digests of videos,
no tables on disk, no samples, manifests or reports. What this costs no arrangement of the same
steps can do without.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "workflow" / "scripts"))
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import cv2  # noqa: E402

from cmedplan.config import complete_config  # noqa: E402
from cmedprep.alignment import ClipFaces, align_clip, alignment_rows  # noqa: E402
from cmedprep.cascade import FaceFinder  # noqa: E402
from cmedprep.detection import detect_clip  # noqa: E402
from cmedprep.extraction import extract_clip  # noqa: E402
from cmedprep.geometry import Template  # noqa: E402
from cmedprep.images import open_store  # noqa: E402
from cmedprep.tables import CLIP_KEY_NAMES, to_array  # noqa: E402
from cmedprep.video import read_frames  # noqa: E402


def main(clips: list[str], out: Path) -> None:
    """Write the aligned face of every frame, as the default config has it."""
    cv2.setNumThreads(1)
    config: dict[str, Any] = {"dataset": {"root": "."}}
    complete_config(config, REPOSITORY / "workflow" / "schemas" / "config.schema.yaml")
    detection, alignment, crop = (config[name] for name in ("detection", "alignment", "crop"))
    template = Template.from_config(alignment["template"])
    n_frames = written = 0
    with FaceFinder(**detection) as finder, open_store(out, "images", crop, "directory") as store:
        for number, path in enumerate(clips):
            frames = list(read_frames(Path(path)))
            height, width = frames[0].image.shape[:2]
            clip = dict.fromkeys(CLIP_KEY_NAMES, f"loop/{number:04d}")
            clip |= {"width": width, "height": height}
            faces = detect_clip(clip, frames, finder)
            images = [frame.image for frame in frames]
            found = ClipFaces(to_array(faces["landmarks"], (-1, 3)), partial(iter, images))
            aligned = align_clip(found, template, alignment["method"], alignment["max_gap"])
            rows = alignment_rows(faces, found, aligned)
            kept, _ = extract_clip(rows, faces, frames, template, crop["size"], store)
            n_frames += len(frames)
            written += kept.num_rows
    print(json.dumps({"frames": n_frames, "written": written}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text().splitlines(), Path(sys.argv[2]))
