"""Measure how a subject's faces move from onset to apex: optical flow and strain."""

from pathlib import Path

from cmedprep.apex_motion import measure_clip, motion_schema
from cmedprep.apexes import choose_apex, read_apexes
from cmedprep.flow import PARAMETERS, STRAIN_FORMULA
from cmedprep.geometry import Template
from cmedprep.job import logged
from cmedprep.provenance import provenance_of
from cmedprep.tables import TableWriter, join_clips, read_provenance, read_rows


def measure_motion(
    method, without_apex, index, faces, alignment, frames, expression, output, provenance, progress
):
    """Write one row for each clip that has images and an apex, or what stands for one."""
    results = Path(output).parent.parent.parent
    clips = {clip["clip_id"]: clip for clip in read_rows(Path(index))}
    spotted = read_apexes(Path(expression))
    made = [read_provenance(Path(path))["parameters"] for path in (alignment, frames)]
    template, size = Template.from_config(made[0]["alignment"]["template"]), made[1]["crop"]["size"]
    provenance |= {"flow": PARAMETERS[method], "strain": STRAIN_FORMULA}
    with TableWriter(Path(output), motion_schema(size), provenance) as table:
        for clip_id, images, found in join_clips(Path(frames), Path(faces)):
            clip = clips[clip_id]
            apex = choose_apex(clip, spotted.get(clip_id), without_apex)
            if apex is not None:
                row = measure_clip(clip, apex, images, found, results, template, method)
                table.write([row])
                progress.advance(clip_id, images.num_rows)


if __name__ == "__main__":
    wildcards = snakemake.wildcards
    title = f"measure_motion {wildcards.subject} {wildcards.method}"
    with logged(snakemake.log[0], title) as progress:
        index, faces, alignment, frames, expression = snakemake.input
        measure_motion(
            **snakemake.params.parameters["motion"],
            index=index,
            faces=faces,
            alignment=alignment,
            frames=frames,
            expression=expression,
            output=snakemake.output[0],
            provenance=provenance_of("measure_motion", snakemake),
            progress=progress,
        )
