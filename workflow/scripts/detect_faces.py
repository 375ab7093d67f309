"""Find the face in every frame of a subject's clips."""

from pathlib import Path

from cmedprep.cascade import FaceFinder
from cmedprep.clips import count_frames, open_clip, processed_clips
from cmedprep.detection import detect_clip
from cmedprep.job import logged
from cmedprep.provenance import provenance_of
from cmedprep.schemas import FACES
from cmedprep.tables import TableWriter


def detect_faces(root, detection, videos, output, provenance, progress, threads=1):
    """Write landmarks and boxes, one row for each decoded frame."""
    clips = processed_clips(Path(videos))
    progress.expect(len(clips), count_frames(clips))
    with TableWriter(Path(output), FACES, provenance) as table, FaceFinder(**detection) as finder:
        for clip in clips:
            source = open_clip(Path(root), clip, threads)
            table.write(detect_clip(clip, source.frames(), finder))
            progress.advance(clip["clip_id"], clip["n_frames"])


if __name__ == "__main__":
    with logged(snakemake.log[0], f"detect_faces {snakemake.wildcards.subject}") as progress:
        detect_faces(
            root=snakemake.config["dataset"]["root"],
            detection=snakemake.params.parameters["detection"],
            videos=snakemake.input[0],
            output=snakemake.output[0],
            provenance=provenance_of("detect_faces", snakemake),
            progress=progress,
            threads=snakemake.threads,
        )
