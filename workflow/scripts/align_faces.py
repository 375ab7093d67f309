"""Find the transform of every frame of a subject's clips to the canonical template."""

from pathlib import Path

from cmedprep.alignment import ClipFaces, align_clip, alignment_rows
from cmedprep.clips import KeptImages, count_frames, open_clip, processed_clips
from cmedprep.geometry import Template
from cmedprep.job import logged
from cmedprep.provenance import provenance_of
from cmedprep.schemas import ALIGNMENT
from cmedprep.tables import TableWriter, iterate_clips, to_array


def align_faces(root, alignment, videos, faces, output, provenance, progress, threads=1):
    """Write one matrix for each decoded frame that has, or nearly has, a face."""
    template = Template.from_config(alignment["template"])
    clips = {clip["clip_id"]: clip for clip in processed_clips(Path(videos))}
    progress.expect(len(clips), count_frames(clips.values()))
    with TableWriter(Path(output), ALIGNMENT, provenance) as table:
        for clip_id, rows in iterate_clips(Path(faces)):
            source = open_clip(Path(root), clips[clip_id], threads)
            clip = ClipFaces(
                landmarks=to_array(rows["landmarks"], (-1, 3)),
                open_frames=KeptImages(source.images),
            )
            aligned = align_clip(clip, template, alignment["method"], alignment["max_gap"])
            table.write(alignment_rows(rows, clip, aligned))
            progress.advance(clip_id, rows.num_rows)


if __name__ == "__main__":
    with logged(snakemake.log[0], f"align_faces {snakemake.wildcards.subject}") as progress:
        videos, faces = snakemake.input
        align_faces(
            root=snakemake.config["dataset"]["root"],
            alignment=snakemake.params.parameters["alignment"],
            videos=videos,
            faces=faces,
            output=snakemake.output[0],
            provenance=provenance_of("align_faces", snakemake),
            progress=progress,
            threads=snakemake.threads,
        )
