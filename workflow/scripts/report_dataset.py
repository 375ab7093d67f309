"""Write the page of the data set, from which those of the subjects are reached."""

from pathlib import Path

from cmedprep.job import logged
from cmedprep.provenance import provenance_of
from cmedreport.data_set_page import write_data_set_page


def report_dataset(clips, manifests, parameters, output, provenance):
    """Write the page, with the labels and the privacy that the parameters ask for."""
    write_data_set_page(
        clips=Path(clips),
        manifests=[Path(path) for path in manifests],
        page=Path(output),
        classes=parameters["labels"]["three_class"],
        show_faces=parameters["report"]["faces"],
        provenance=provenance,
    )


if __name__ == "__main__":
    with logged(snakemake.log[0], "report_dataset"):
        clips, pages = snakemake.input.clips, map(Path, snakemake.input.pages)
        manifests = [page.parents[1] / "manifests" / f"{page.stem}.parquet" for page in pages]
        report_dataset(
            clips=clips,
            manifests=manifests,
            parameters=snakemake.params.parameters,
            output=snakemake.output[0],
            provenance=provenance_of("report_dataset", snakemake, (clips, *manifests)),
        )
