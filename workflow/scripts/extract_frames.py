"""Write every aligned frame of a subject's clips as an image, and spot the apex in them."""

from pathlib import Path

from cmedprep.clips import count_frames, open_clip, processed_clips
from cmedprep.extraction import extract_clip
from cmedprep.geometry import Template
from cmedprep.images import open_store
from cmedprep.job import logged
from cmedprep.provenance import provenance_of
from cmedprep.schemas import EXPRESSION, FRAMES, FRAMES_WITH_IMAGES
from cmedprep.tables import TableWriter, join_clips, read_provenance


def extract_frames(
    root,
    crop,
    images,
    subject,
    videos,
    faces,
    alignment,
    frames,
    expression,
    provenance,
    progress,
    threads=1,
):
    """Keep images below `images/{subject}` or inside the table, and write a row for each."""
    clips = {clip["clip_id"]: clip for clip in processed_clips(Path(videos))}
    progress.expect(len(clips), count_frames(clips.values()))
    aligned_to = read_provenance(Path(alignment))["parameters"]["alignment"]["template"]
    template = Template.from_config(aligned_to)
    results = Path(frames).parent.parent
    schema = FRAMES_WITH_IMAGES if images == "parquet" else FRAMES
    with (
        TableWriter(Path(expression), EXPRESSION, provenance) as motion,
        TableWriter(Path(frames), schema, provenance) as table,
        open_store(results, f"images/{subject}", crop, images) as store,
    ):
        for clip_id, rows, found in join_clips(Path(alignment), Path(faces)):
            source = open_clip(Path(root), clips[clip_id], threads)
            written, spotted = extract_clip(
                rows, found, source.frames(), template, crop["size"], store
            )
            table.write(written)
            motion.write(spotted)
            progress.advance(clip_id, rows.num_rows)


if __name__ == "__main__":
    with logged(snakemake.log[0], f"extract_frames {snakemake.wildcards.subject}") as progress:
        videos, faces, alignment = snakemake.input
        frames, expression = snakemake.output
        extract_frames(
            root=snakemake.config["dataset"]["root"],
            **{name: snakemake.params.parameters[name] for name in ("crop", "images")},
            subject=snakemake.wildcards.subject,
            videos=videos,
            faces=faces,
            alignment=alignment,
            frames=frames,
            expression=expression,
            provenance=provenance_of("extract_frames", snakemake),
            progress=progress,
            threads=snakemake.threads,
        )
