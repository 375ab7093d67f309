"""Describe a finished run as an RO-Crate, in the profile Workflow Run Crate 0.5.

The crate is a folder with a JSON-LD file and the Snakefile. It holds no data: every table and
page that came out and every file that was read is an entity with a local identifier (``#...``),
named by its place below the results or below the data set, and by size and SHA-256. All is taken
from the tables and from the config, and nothing from the clock or the machine, so that equal runs
have equal crates; only the versions of Python and of Snakemake are those that wrote the crate.
"""

import hashlib
import json
import platform
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow.parquet as pq

from cmedplan.digests import digest_file
from cmedprep.tables import BY_PART, read_provenance, read_rows
from cmedreport.embedded import read_page_provenance

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

NAME = "cmed-preprocessing"
VERSION = "0.2.0"
RELEASED = "2026-11-23"
"""Version and date of release of the workflow, as in CITATION.cff."""

PROFILES = {
    "Process Run Crate": "https://w3id.org/ro/wfrun/process/0.5",
    "Workflow Run Crate": "https://w3id.org/ro/wfrun/workflow/0.5",
    "Workflow RO-Crate": "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
}
TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
"""What the context of RO-Crate 1.1 lacks, from the profile's own vocabulary."""

OUTPUTS = {
    "clips": "what became of every metadata row and every video",
    "videos": "what every video is",
    "index": "what became of every clip of a subject",
    "faces": "where the face is in every frame",
    "alignment": "the transform of every frame to the template",
    "frames": "the images that were written, with their checksums",
    "expression": "how far the expression of every frame is from the onset's, and its apex",
    "samples": "the frames around the apex, with labels",
    "motion": "optical flow and strain from onset to apex",
    "manifests": "what became of every clip of a subject, with digests of its results",
    "splits": "which clips are tested in which fold",
    "reports": "pages to look at, of every subject and of the data set",
}
"""The kinds of tables, which are the folders of the results, and of pages, and what they say."""

MEDIA_TYPES = {
    "3gp": "video/3gpp",
    "asf": "video/x-ms-asf",
    "avi": "video/x-msvideo",
    "flv": "video/x-flv",
    "gif": "image/gif",
    "m4v": "video/x-m4v",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "ogv": "video/ogg",
    "webm": "video/webm",
    "wmv": "video/x-ms-wmv",
    **dict.fromkeys(("m2ts", "mts", "ts"), "video/mp2t"),
}
"""By a file name's ending. Python's own list differs with its version and the machine."""

UNKNOWN_TYPE = "application/octet-stream"
PARQUET_TYPE = "application/vnd.apache.parquet"


@dataclass(frozen=True, slots=True)
class Table:
    """What a crate says of a table: its path below the results, and what proves its content.

    Or of a report, which has no `rows`.
    """

    name: str
    size: int
    sha256: str
    rows: int | None
    provenance: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The folder of the results in which it lies, one of `OUTPUTS`."""
        return PurePosixPath(self.name).parts[0].removesuffix(".parquet")

    @property
    def subject(self) -> str | None:
        """Whose table it is, or None where it is that of all."""
        path = PurePosixPath(self.name)
        of_all = self.kind == "splits" or self.provenance.get("stage") == "report_dataset"
        return path.stem if len(path.parts) > 1 and not of_all else None

    @property
    def stage(self) -> str:
        """The stage that made it, with the scheme or method where there is one for each."""
        path = PurePosixPath(self.name)
        part = f"/{path.parent.name}" if path.parts[0] in BY_PART else ""
        return f"{self.provenance.get('stage')}{part}"


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """What a crate says of a video that was read: its path below the root of the data set."""

    path: str
    subject: str
    size: int
    sha256: str
    is_video: bool


def read_facts(results: Path, path: Path) -> Table:
    """Measure a table or a report of the run that wrote into the folder `results`."""
    is_table = path.suffix == ".parquet"
    provenance = read_provenance(path) if is_table else read_page_provenance(path)
    return Table(
        name=path.relative_to(results).as_posix(),
        size=path.stat().st_size,
        sha256=digest_file(path),
        rows=pq.read_metadata(path).num_rows if is_table else None,
        provenance=provenance,
    )


def list_sources(tables: Iterable[Path]) -> list[Source]:
    """List the videos in some tables of `schemas.VIDEOS`, each file once, sorted."""
    found = sorted(
        Source(
            path=row["path"],
            subject=row["subject"],
            size=row["size_bytes"],
            sha256=row["sha256"],
            is_video=row["codec"] is not None,
        )
        for table in tables
        for row in read_rows(table)
        if row["sha256"] is not None
    )
    return list({source.path: source for source in found}.values())


def check_tables(tables: Iterable[Table], chains: Mapping[str, str]) -> None:
    """Make sure that tables are of one run: that of the config and of the code at hand.

    Parameters
    ----------
    tables : iterable of Table
        All tables of the run.
    chains : mapping
        For each stage, and each scheme or method, the chain that its tables carry.

    Raises
    ------
    RuntimeError
        A table was made with other code or parameters; the error names it.
    """
    for table in tables:
        expected, found = chains.get(table.stage), table.provenance.get("chain")
        if found is None or found != expected:
            raise RuntimeError(
                f"{table.name} should be made by {table.stage} with this config and code (chain "
                f"{expected}), and was made with others (chain {found}): the run is not "
                "finished. Run the workflow without a target and without --rerun-triggers, "
                "then ask for the crate again."
            )


def describe_run(
    tables: Sequence[Table],
    sources: Sequence[Source],
    metadata: Mapping[str, Any],
    parameters: Mapping[str, Any],
    snakefile: str,
    snakemake_version: str,
) -> str:
    """Return the text of `ro-crate-metadata.json`, equal for equal runs.

    Parameters
    ----------
    tables : sequence of Table
        All tables of the run, checked.
    sources : sequence of Source
        The videos that were read.
    metadata : mapping
        Name, size and SHA-256 of the metadata file.
    parameters : mapping
        The config of the run, nested.
    snakefile : str
        The main file of the workflow.
    snakemake_version : str
        The version of Snakemake that writes the crate.
    """
    crate = _new_crate()
    crate.metadata.extra_terms.update(TERMS)
    workflow = _add_workflow(crate, snakefile, snakemake_version)
    _add_root(crate)
    subjects = {
        name: _add(crate, f"#subject/{name}", "Person", name=name)
        for name in sorted({table.subject for table in tables if table.subject})
    }
    read = [
        *_add_sources(crate, workflow, sources, metadata, subjects),
        *_add_parameters(crate, workflow, parameters),
    ]
    made = _add_tables(crate, workflow, tables, subjects)
    pages = [table for table in tables if table.rows is None]
    _add_software(crate, workflow, tables)
    run = _add(
        crate,
        f"#run-{_digest_run(tables)}",
        "CreateAction",
        name=f"Run of {NAME} {VERSION}",
        description=f"{len(sources)} videos of {len(subjects)} subjects became "
        f"{len(tables) - len(pages)} tables and {len(pages)} pages.",
        instrument=workflow,
        object=read,
        result=made,
        actionStatus="http://schema.org/CompletedActionStatus",
    )
    crate.root_dataset["hasPart"] = workflow
    crate.root_dataset["mentions"] = run
    text = json.dumps(crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False)
    return f"{text}\n"


def _new_crate() -> "ROCrate":
    """Return an empty crate of RO-Crate 1.1.

    On its way the library imports urllib3, which opens a socket of this machine to see whether it
    has IPv6. No job opens a socket, and this one needs none: it is told that there is no IPv6.
    """
    has_ipv6, socket.has_ipv6 = socket.has_ipv6, False
    try:
        from rocrate.rocrate import ROCrate
    finally:
        socket.has_ipv6 = has_ipv6
    return ROCrate(version="1.1")


def _add(crate: "ROCrate", uri: str, kind: str, **properties: Any) -> Any:
    """Add an entity; an identifier of ours (``#...``) may hold any character of a name."""
    if uri.startswith("#"):
        uri = f"#{quote(uri[1:])}"
    named = {"@type": kind} | {k: v for k, v in properties.items() if v not in (None, [])}
    # A property with one value is written as that value.
    single = {k: v[0] if isinstance(v, list) and len(v) == 1 else v for k, v in named.items()}
    return crate.add_jsonld({"@id": uri} | single)


def _add_root(crate: "ROCrate") -> None:
    crate.name = f"A run of {NAME}"
    crate.description = (
        "What a run of the preprocessing of the Child Micro-Expression Dataset has read and made: "
        "every file by its name, size and SHA-256, with parameters, code and software. None of "
        "them is inside, nor is any image or landmark. A run has no date, so that "
        f"equal runs have equal crates: datePublished is the release of {NAME} {VERSION}."
    )
    crate.datePublished = RELEASED
    crate.license = _add(
        crate,
        "#terms-of-the-data-set",
        "CreativeWork",
        name="Terms of the data set",
        description="The data set's own terms say who may see this description of a run on it, "
        "which names its subjects and files. The Snakefile has a licence of its own.",
    )
    crate.root_dataset["conformsTo"] = [
        _add(crate, uri, "CreativeWork", name=name, version=uri.rpartition("/")[2])
        for name, uri in PROFILES.items()
    ]


def _add_workflow(crate: "ROCrate", snakefile: str, snakemake_version: str) -> Any:
    licence = _add(
        crate, "https://spdx.org/licenses/MIT", "CreativeWork", name="MIT License", identifier="MIT"
    )
    authors = _add(crate, "#authors", "Organization", name=f"The authors of {NAME}")
    content = snakefile.encode()
    return crate.add_workflow(
        dest_path="Snakefile",
        main=True,
        lang="snakemake",
        lang_version=snakemake_version,
        properties={
            "name": NAME,
            "description": "The main file of the workflow. Rules and scripts are not inside; each "
            "stage is named by a digest of its code.",
            "version": VERSION,
            "license": licence,
            "author": authors,
            "encodingFormat": "text/plain",
            "contentSize": str(len(content)),
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    )


def _add_sources(
    crate: "ROCrate",
    workflow: Any,
    sources: Iterable[Source],
    metadata: Mapping[str, Any],
    subjects: Mapping[str, Any],
) -> list[Any]:
    """Add the metadata file and the videos as files that are not inside."""
    rows = _add_slot(crate, workflow, "input", "metadata", "File", "subject, file, emotion, apex")
    added = [
        _add_file(
            crate,
            f"#metadata/{metadata['name']}",
            name=metadata["name"],
            description="Metadata file of the data set.",
            size=metadata["size"],
            sha256=metadata["sha256"],
            media_type="text/csv",
            exampleOfWork=rows,
        )
    ]
    sources = list(sources)
    if sources:
        videos = _add_slot(crate, workflow, "input", "videos", "File", "the clips of the subjects")
        added += [
            _add_file(
                crate,
                f"#source/{source.path}",
                name=source.path,
                description="File of the data set, named by its path below the root.",
                size=source.size,
                sha256=source.sha256,
                media_type=_media_type(source),
                exampleOfWork=videos,
                about=subjects.get(source.subject),
            )
            for source in sources
        ]
    return added


def _media_type(source: Source) -> str:
    ending = source.path.rpartition(".")[2].lower()
    return MEDIA_TYPES.get(ending, UNKNOWN_TYPE) if source.is_video else UNKNOWN_TYPE


def _add_tables(
    crate: "ROCrate", workflow: Any, tables: Iterable[Table], subjects: Mapping[str, Any]
) -> list[Any]:
    """Add every table, with the stage that made it."""
    tables = list(tables)
    kinds = {
        kind: _add_slot(crate, workflow, "output", kind, "File", OUTPUTS[kind])
        for kind in OUTPUTS
        if any(table.kind == kind for table in tables)
    }
    stages = {
        table.stage: (table.provenance["code"], table.provenance["chain"]) for table in tables
    }
    workflow["hasPart"] = [
        _add(
            crate,
            f"#stage/{name}",
            "SoftwareSourceCode",
            name=name,
            description="A stage of the workflow. Its version is the SHA-256 of its script and of "
            "the modules that the script imports; its chain is a digest of its code and parameters "
            "and of those of all stages before it.",
            version=code,
            additionalProperty=_add_value(crate, f"#chain/{name}", "chain", chain),
        )
        for name, (code, chain) in sorted(stages.items())
    ]
    rows = {
        count: _add_value(crate, f"#rows/{count}", "rows", count)
        for count in sorted({table.rows for table in tables if table.rows is not None})
    }
    return [
        _add_file(
            crate,
            f"#result/{table.name}",
            name=table.name,
            description=f"Made by the stage {table.stage}.",
            size=table.size,
            sha256=table.sha256,
            media_type=PARQUET_TYPE if table.rows is not None else "text/html",
            exampleOfWork=kinds[table.kind],
            about=subjects.get(table.subject or ""),
            additionalProperty=rows[table.rows] if table.rows is not None else None,
        )
        for table in tables
    ]


def _add_file(
    crate: "ROCrate", uri: str, size: int, sha256: str, media_type: str, **properties: Any
) -> Any:
    return _add(
        crate,
        uri,
        "File",
        contentSize=str(size),
        encodingFormat=media_type,
        sha256=sha256,
        **properties,
    )


def _add_parameters(crate: "ROCrate", workflow: Any, parameters: Mapping[str, Any]) -> list[Any]:
    """Add every value of the config, and the parameter that has it."""
    added = []
    for name, value in sorted(_flatten("", parameters)):
        kind = next(
            (word for word, kinds in _KINDS.items() if isinstance(value, kinds)),
            "Text",
        )
        slot = _add_slot(crate, workflow, "input", name, kind, "a key of the config")
        text = value if kind != "Text" or isinstance(value, str) else json.dumps(value)
        added.append(_add_value(crate, f"#value/{name}", name, text, exampleOfWork=slot))
    return added


# In this order: a truth value is an integer to Python.
_KINDS = {"Boolean": bool, "Integer": int, "Float": float}


def _flatten(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values of a nested config, each with its dotted key; schemes go by their name."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _flatten(f"{place}.{key}" if place else str(key), part)
    elif isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        for part in value:
            others = {key: other for key, other in part.items() if key != "name"}
            yield from _flatten(f"{place}.{part['name']}", others)
    else:
        yield place, value


def _add_slot(
    crate: "ROCrate", workflow: Any, side: str, name: str, kind: str, description: str
) -> Any:
    """Add a formal parameter, and name it as input or output of the workflow."""
    slot = _add(
        crate,
        f"#{side}/{name}",
        "FormalParameter",
        name=name,
        description=description,
        additionalType=kind,
    )
    workflow.append_to(side, slot)
    return slot


def _add_value(crate: "ROCrate", uri: str, name: str, value: Any, **properties: Any) -> Any:
    return _add(crate, uri, "PropertyValue", name=name, value=value, **properties)


def _add_software(crate: "ROCrate", workflow: Any, tables: Iterable[Table]) -> None:
    """Add the packages and models that the tables name, and the Python at hand."""
    made_by = [table.provenance for table in tables]
    software = [
        _add(
            crate,
            f"https://pypi.org/project/{name}/{version}/",
            "SoftwareApplication",
            name=name,
            softwareVersion=version,
            url=f"https://pypi.org/project/{name}/{version}/",
        )
        for name, version in sorted({pair for made in made_by for pair in made["packages"].items()})
    ]
    models = [
        _add(
            crate,
            f"#model/{sha256}",
            "File",
            name=name,
            description="A model inside the package of MediaPipe.",
            encodingFormat=UNKNOWN_TYPE,
            sha256=sha256,
        )
        for name, sha256 in sorted({pair for made in made_by for pair in made["models"].items()})
    ]
    python = _add(
        crate,
        "https://www.python.org/",
        "SoftwareApplication",
        name="Python",
        description="The Python that wrote this crate.",
        softwareVersion=platform.python_version(),
        url="https://www.python.org/",
    )
    workflow["softwareRequirements"] = [*software, *models, python]


def _digest_run(tables: Iterable[Table]) -> str:
    """Return a name for a run that equal runs share, and others do not."""
    listed = "".join(f"{table.name}\0{table.sha256}\n" for table in tables)
    return hashlib.sha256(listed.encode()).hexdigest()[:16]
