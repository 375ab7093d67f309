"""Choose the frames of a subject's clips around the apex: a stage of the job of the manifest."""

from pathlib import Path

from cmedprep.apexes import choose_apex, read_apexes
from cmedprep.images import open_store
from cmedprep.provenance import provenance_of
from cmedprep.samples import interpolate_rows, sample_rows
from cmedprep.schemas import SAMPLES, SAMPLES_WITH_IMAGES
from cmedprep.tables import TableWriter, iterate_clips, read_provenance, read_rows


def sample_schemes(job, index, frames, expression, outputs):
    """Write the samples of each scheme, in a table that says of its own scheme how it was made."""
    made = provenance_of("sample_apex", job, (index, frames, expression))
    for output in outputs:
        recipe = job.params.schemes[Path(output).parent.name]
        sample_apex(
            **recipe["parameters"]["sampling"],
            index=index,
            frames=frames,
            expression=expression,
            output=output,
            provenance=made | recipe,
        )


def sample_apex(scheme, without_apex, index, frames, expression, output, provenance):
    """Write one row for each slot of each clip that can be sampled."""
    subject, results = Path(output).stem, Path(output).parent.parent.parent
    clips = {clip["clip_id"]: clip for clip in read_rows(Path(index))}
    spotted = read_apexes(Path(expression))
    made = read_provenance(Path(frames))["parameters"]
    interpolated = scheme["method"] == "tim"
    container = made["images"] if interpolated else "parquet"  # nothing is kept outside
    schema = SAMPLES_WITH_IMAGES if interpolated and container == "parquet" else SAMPLES
    place = f"interpolated/{scheme['name']}/{subject}"
    with (
        TableWriter(Path(output), schema, provenance) as table,
        open_store(results, place, made["crop"], container) as store,
    ):
        for clip_id, written in iterate_clips(Path(frames), () if interpolated else ("encoded",)):
            apex = choose_apex(clips[clip_id], spotted.get(clip_id), without_apex)
            if apex is not None:
                rows = sample_rows(clips[clip_id], written, apex, scheme)
                table.write(
                    interpolate_rows(rows, written, results, store) if interpolated else rows
                )
