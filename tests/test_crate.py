"""A finished run is described by a crate that a public validator accepts, equal for equal runs."""

import hashlib
import io
import json
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import rdflib
import requests
import urllib3
import yaml
from requests_cache import CachedSession
from rocrate.rocrate import ROCrate
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings

from cmedplan.atomic import write_whole
from cmedplan.stages import STAGES
from cmedprep import crate as crates
from cmedprep.crate import Source, Table, check_tables, describe_run, list_sources
from tests.conftest import REPOSITORY, Project
from tests.offline import filter_jobs

CRATE = "results/provenance/ro-crate-metadata.json"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
OFFLINE = (sys.executable, str(REPOSITORY / "tests" / "offline.py"))
USER = "a-name-of-nobody"

Entity = dict[str, Any]


@pytest.fixture(scope="module")
def described(finished_tiny: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished run on the tiny data set with its crate. Not to be changed."""
    folder = tmp_path_factory.mktemp("described") / "project"
    shutil.copytree(finished_tiny.folder, folder)
    project = Project(folder, finished_tiny.config)
    project.succeed(CRATE, environment={"USER": USER, "LOGNAME": USER})
    return project


@pytest.fixture(scope="module")
def entities(described: Project) -> dict[str, Entity]:
    return read_entities((described.folder / CRATE).read_text())


def read_entities(text: str) -> dict[str, Entity]:
    """Return the entities of a crate by identifier, of which none may be there twice."""
    graph = json.loads(text)["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph)
    return found


def of_type(entities: dict[str, Entity], kind: str) -> list[Entity]:
    return [entity for entity in entities.values() if entity["@type"] == kind]


def texts(value: Any) -> Iterator[str]:
    """Yield every string of a JSON document, keys as well."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value


def references(entities: dict[str, Entity]) -> set[str]:
    """Return every identifier of ours that some entity points to."""
    return {
        part["@id"]
        for entity in entities.values()
        for value in entity.values()
        for part in (value if isinstance(value, list) else [value])
        if isinstance(part, dict) and part["@id"].startswith("#")
    }


# -- the validator ----------------------------------------------------------------------------


Validate = Callable[[Path], Any]


@pytest.fixture(scope="module")
def validate(tmp_path_factory: pytest.TempPathFactory) -> Validate:
    """CRS4's rocrate-validator, offline: the context of RO-Crate 1.1 is put into its cache."""
    cache = tmp_path_factory.mktemp("validator") / "cache"
    content = resources.files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes()
    assert json.loads(content)["@id"] == CONTEXT
    response = requests.Response()
    response.url, response.status_code = CONTEXT, 200
    response.headers["Content-Type"] = "application/ld+json"
    response.request = requests.Request("GET", CONTEXT).prepare()
    response.raw = urllib3.HTTPResponse(
        io.BytesIO(content), response.headers, 200, preload_content=False
    )
    with CachedSession(str(cache), backend="sqlite", expire_after=-1) as session:
        session.cache.save_response(response)

    def run(folder: Path) -> Any:
        settings = ValidationSettings(
            rocrate_uri=str(folder),
            profile_identifier="workflow-run-crate",
            requirement_severity=Severity.REQUIRED,
            cache_path=cache,
            offline=True,
        )
        return services.validate(settings)

    return run


def test_a_public_validator_accepts_the_crate(described: Project, validate: Validate) -> None:
    result = validate((described.folder / CRATE).parent)
    assert result.get_issues() == []
    assert result.passed()
    assert result.skipped_checks_count == 0
    assert result.context.target_profile.uri == crates.PROFILES["Workflow Run Crate"]


def without(identifier: str, key: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "ro-crate-metadata.json"
        document = json.loads(path.read_text())
        for entity in document["@graph"]:
            if entity["@id"].startswith(identifier):
                del entity[key]
        path.write_text(json.dumps(document))

    return change


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (without("#run", "instrument"), "instrument"),
        (without("./", "license"), "license"),
        (without("./", "datePublished"), "datePublished"),
        (without("Snakefile", "programmingLanguage"), "language"),
        (lambda folder: (folder / "Snakefile").unlink(), "Snakefile"),
    ],
)
def test_the_validator_refuses_what_is_not_by_the_profile(
    described: Project,
    validate: Validate,
    tmp_path: Path,
    change: Callable[[Path], None],
    word: str,
) -> None:
    shutil.copytree((described.folder / CRATE).parent, tmp_path / "crate")
    change(tmp_path / "crate")
    result = validate(tmp_path / "crate")
    assert not result.passed()
    assert any(word in issue.message for issue in result.get_issues())


def test_names_with_any_characters_give_a_valid_crate(tmp_path: Path, validate: Validate) -> None:
    odd = 'Kid #1 ä%20"<{}>^`|\\'
    table = Table(f"manifests/{odd}.parquet", 1, "0" * 64, 0, PROVENANCE)
    source = Source(f"Happy/{odd}/a b?.mp4", odd, 1, "1" * 64, is_video=True)
    text = describe([table], [source])
    write_whole(tmp_path / "Snakefile", "")
    write_whole(tmp_path / "ro-crate-metadata.json", text)
    assert validate(tmp_path).get_issues() == []
    entities = read_entities(text)
    assert references(entities) <= entities.keys()
    assert {entity["name"] for entity in of_type(entities, "File")} >= {table.name, source.path}


# -- other readers ----------------------------------------------------------------------------


def test_the_library_reads_the_crate_back(described: Project) -> None:
    crate = ROCrate((described.folder / CRATE).parent)
    assert crate.mainEntity.id == "Snakefile"
    assert crate.mainEntity["programmingLanguage"]["name"] == "Snakemake"
    (run,) = [entity for entity in crate.get_entities() if entity.type == "CreateAction"]
    assert run["instrument"] == crate.mainEntity
    files = {path for path in described.digests() if path.endswith((".parquet", ".html"))}
    assert {result["name"] for result in run["result"]} == files


def test_the_crate_is_linked_data(described: Project, entities: dict[str, Entity]) -> None:
    document = json.loads((described.folder / CRATE).read_text())
    context = json.loads(resources.files("rocrate").joinpath("data/ro-crate.jsonld").read_text())
    assert document["@context"][0] == CONTEXT
    document["@context"][0] = context["@context"]
    graph = rdflib.Graph().parse(data=json.dumps(document), format="json-ld")
    schema = rdflib.Namespace("http://schema.org/")
    checksum = rdflib.URIRef("https://w3id.org/ro/terms/workflow-run#sha256")
    (run,) = graph.subjects(rdflib.RDF.type, schema.CreateAction)
    results = list(graph.objects(run, schema.result))
    pages = list(described.results.rglob("*.html"))
    assert len(results) == len(list(described.results.rglob("*.parquet"))) + len(pages) == 36
    assert all(graph.value(result, checksum) for result in results)
    # A key that the context lacks would be dropped without a word.
    known = context["@context"].keys() | document["@context"][1].keys() | {"@id", "@type"}
    assert {key for entity in entities.values() for key in entity} <= known


# -- what it says -----------------------------------------------------------------------------


def test_every_table_and_page_is_there_with_its_size_and_checksum(
    described: Project, entities: dict[str, Entity]
) -> None:
    tables = {path for path in described.digests() if path.endswith((".parquet", ".html"))}
    named = {e["name"]: e for id_, e in entities.items() if id_.startswith("#result/")}
    assert named.keys() == tables
    for name, entity in named.items():
        path = described.results / name
        assert entity["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert entity["contentSize"] == str(path.stat().st_size)
        if path.suffix == ".html":
            assert entity["encodingFormat"] == "text/html"
            assert "additionalProperty" not in entity
            continue
        assert entity["encodingFormat"] == "application/vnd.apache.parquet"
        rows = entities[entity["additionalProperty"]["@id"]]
        assert rows["value"] == pq.read_metadata(path).num_rows


def test_every_file_that_was_read_is_there_with_its_size_and_checksum(
    described: Project, entities: dict[str, Entity]
) -> None:
    root = described.folder / described.root
    read = [e for id_, e in entities.items() if id_.startswith(("#source/", "#metadata/"))]
    videos = {path.relative_to(root).as_posix() for path in root.rglob("*.mp4")}
    assert {entity["name"] for entity in read} == videos | {"video_emotion_metadata.csv"}
    for entity in read:
        content = (root / entity["name"]).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest()
        assert entity["contentSize"] == str(len(content))
    assert Counter(entity["encodingFormat"] for entity in read) == {"video/mp4": 4, "text/csv": 1}


def test_the_file_that_is_inside_is_the_snakefile(
    described: Project, entities: dict[str, Entity]
) -> None:
    folder = (described.folder / CRATE).parent
    inside = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert inside.keys() == {"Snakefile", "ro-crate-metadata.json"}
    assert inside["Snakefile"] == (REPOSITORY / "workflow" / "Snakefile").read_bytes()
    assert entities["Snakefile"]["sha256"] == hashlib.sha256(inside["Snakefile"]).hexdigest()
    assert entities["./"]["hasPart"] == {"@id": "Snakefile"}


def test_every_reference_leads_somewhere(entities: dict[str, Entity]) -> None:
    assert references(entities) <= entities.keys()


def test_the_config_is_there_but_for_places(
    described: Project, entities: dict[str, Entity]
) -> None:
    values = {e["name"]: e["value"] for id_, e in entities.items() if id_.startswith("#value/")}
    assert values["crop.size"] == 224
    assert values["detection.min_confidence"] == 0.5
    assert values["sampling.schemes.phase11.slots"] == 11
    assert values["labels.three_class.Happy"] == "positive"
    assert values["labels.three_class.No_Emotion"] == "null"
    assert json.loads(values["alignment.template.eye_midpoint"]) == [112, 90]
    schema = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())
    sections = {section for stage in STAGES.values() for section in stage.parameters}
    keys = {
        f"{name}.{key}" if key else name
        for name in sections
        for key in schema["properties"][name].get("properties", {"": {}})
    }
    keys |= {"subjects", "dataset.layout", "dataset.columns"}
    assert keys == {".".join(name.split(".")[:2]) for name in values}
    run = of_type(entities, "CreateAction")[0]
    assert {part["@id"] for part in run["object"]} >= {f"#value/{name}" for name in values}


def test_software_models_stages_and_subjects_are_those_of_the_tables(
    described: Project, entities: dict[str, Entity]
) -> None:
    from cmedprep.tables import read_provenance

    faces = read_provenance(described.results / "faces/Subject_01.parquet")
    software = {e["name"]: e["softwareVersion"] for e in of_type(entities, "SoftwareApplication")}
    pages = {name: metadata.version(name) for name in ("jinja2", "plotly")}
    assert software == faces["packages"] | pages | {
        "Python": ".".join(map(str, sys.version_info[:3]))
    }
    models = {e["name"]: e["sha256"] for id_, e in entities.items() if id_.startswith("#model/")}
    assert models == faces["models"]
    assert entities["#stage/detect_faces"]["version"] == faces["code"]
    assert entities["#chain/detect_faces"]["value"] == faces["chain"]
    stages = {e["name"] for e in of_type(entities, "SoftwareSourceCode")}
    assert {"probe_videos", "write_manifest", "sample_apex/window5"} <= stages
    assert {e["name"] for e in of_type(entities, "Person")} == {"Subject_01", "Subject_02"}


def test_the_date_and_version_are_those_of_the_release(entities: dict[str, Entity]) -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert entities["./"]["datePublished"] == str(citation["date-released"])
    assert entities["Snakefile"]["version"] == citation["version"]
    assert citation["authors"][0]["name"] == entities["#authors"]["name"]
    assert entities["https://spdx.org/licenses/MIT"]["identifier"] == citation["license"]


# -- what it does not say ---------------------------------------------------------------------


def test_nothing_in_it_is_of_the_machine_the_user_or_the_clock(described: Project) -> None:
    text = (described.folder / CRATE).read_text()
    words = list(texts(json.loads(text)))
    for place in (described.folder, described.folder.parent, REPOSITORY, Path.home()):
        assert not [word for word in words if str(place) in word and len(place.parts) > 1]
    absolute = re.compile(r"(^|[\s'\"=:(])(/\w|[A-Za-z]:\\|file:)")
    assert not [word for word in words if absolute.search(word) or ".." in word]
    assert USER not in text
    assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text)
    dates = set(re.findall(r"\d{4}-\d\d-\d\d", text)) | set(re.findall(r"\d\d:\d\d", text))
    assert dates == {crates.RELEASED}
    assert not re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)


def test_it_holds_no_landmark_and_no_image(entities: dict[str, Entity]) -> None:
    numbers = [
        value
        for entity in entities.values()
        for value in entity.values()
        if isinstance(value, int | float) and entity["@type"] != "PropertyValue"
    ]
    assert numbers == []
    assert max(len(word) for word in texts(list(entities.values()))) < 500
    assert not [e for e in of_type(entities, "File") if e["encodingFormat"].startswith("image/")]


# -- equal runs, equal bytes ------------------------------------------------------------------


def test_another_folder_time_zone_and_locale_give_the_same_bytes(
    described: Project, tiny: Project
) -> None:
    # Here the data set is given by its absolute path.
    tiny.succeed(CRATE, cores=1, environment={"TZ": "Asia/Kathmandu", "LC_ALL": "C"})
    for name in ("Snakefile", "ro-crate-metadata.json"):
        made = tiny.results / "provenance" / name
        assert made.read_bytes() == (described.results / "provenance" / name).read_bytes()
    assert tiny.succeed(CRATE).idle


def test_a_workflow_that_is_fetched_with_git_gives_the_same_bytes(
    described: Project, tiny: Project, own_repository: Path
) -> None:
    git = ["git", "-C", str(own_repository), "-c", "user.name=x", "-c", "user.email=x@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)
    source = f'gitfile("{own_repository}", path="workflow/Snakefile", tag="v1")'
    (tiny.folder / "Snakefile").write_text(
        f"module cmed:\n    snakefile:\n        {source}\n    config:\n        config\n\n\n"
        "use rule * from cmed as cmed_*\n"
    )
    project = Project(tiny.folder, tiny.config, repository=tiny.folder)
    run = project.succeed("--rerun-triggers", "mtime", "params", "input", "--", CRATE)
    assert run.jobs == {"cmed_write_crate": 1}
    for name in ("Snakefile", "ro-crate-metadata.json"):
        made = tiny.results / "provenance" / name
        assert made.read_bytes() == (described.results / "provenance" / name).read_bytes()


def test_the_job_that_writes_it_opens_no_socket(
    described: Project, tiny: Project, tmp_path: Path
) -> None:
    probe = subprocess.run([*OFFLINE, "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"the kernel cannot forbid sockets here: {probe.stderr[-200:]}")
    run = tiny.succeed(CRATE, environment=filter_jobs(tmp_path))
    assert run.output.count("filtered") == sum(run.jobs.values()) == 1
    assert (tiny.folder / CRATE).read_bytes() == (described.folder / CRATE).read_bytes()


# -- only of a finished run -------------------------------------------------------------------


def test_it_is_made_when_asked_for_and_the_run_is_finished_first(
    fresh: Project, finished_tiny: Project
) -> None:
    assert not (finished_tiny.results / "provenance").exists()
    assert fresh.succeed("--dry-run", CRATE).jobs == fresh.succeed("--dry-run").jobs + Counter(
        {"write_crate": 1}
    )


def test_what_is_missing_is_made_before_it(tiny: Project) -> None:
    (tiny.results / "manifests/Subject_01.parquet").unlink()
    planned = tiny.succeed("--dry-run", CRATE).jobs
    after = ("report_subject Subject_01", "report_dataset", "make_splits", "write_crate")
    assert planned == dict.fromkeys(("write_manifest Subject_01", *after), 1)


def test_a_blank_line_more_in_the_metadata_file_makes_it_anew_alone(tiny: Project) -> None:
    tiny.succeed(CRATE)
    with open(tiny.root / "video_emotion_metadata.csv", "a") as file:
        file.write("\n")
    assert tiny.succeed(CRATE).jobs == {"write_crate": 1}
    entities = read_entities((tiny.folder / CRATE).read_text())
    content = (tiny.root / "video_emotion_metadata.csv").read_bytes()
    found = entities["#metadata/video_emotion_metadata.csv"]["sha256"]
    assert found == hashlib.sha256(content).hexdigest()


def test_tables_of_another_config_are_refused(tiny: Project) -> None:
    tiny.config["crop"] = {"size": 96}
    output = tiny.fail(CRATE, "--rerun-triggers", "mtime").output
    assert "the run is not finished" in output
    assert "expression/Subject_01.parquet should be made by extract_frames" in output
    assert not (tiny.folder / CRATE).exists()


# -- parts ------------------------------------------------------------------------------------


PROVENANCE = {
    "stage": "write_manifest",
    "chain": "c",
    "code": "d",
    "parameters": {},
    "packages": {"mediapipe": "1"},
    "models": {"a.tflite": "e"},
}


def describe(tables: list[Table], sources: list[Source], **parameters: Any) -> str:
    metadata = {"name": "rows.csv", "size": 1, "sha256": "2" * 64}
    return describe_run(tables, sources, metadata, parameters, "", "9")


def table_of(stage: str, name: str, **provenance: Any) -> Table:
    return Table(name, 1, "0" * 64, 1, PROVENANCE | {"stage": stage} | provenance)


def test_a_table_without_provenance_is_refused() -> None:
    table = Table("clips.parquet", 1, "0" * 64, 1, {})
    with pytest.raises(RuntimeError, match=r"clips\.parquet should be made by"):
        check_tables([table], {"index_clips": "c"})


def test_each_scheme_has_a_chain_of_its_own() -> None:
    scheme = {"sampling": {"scheme": {"name": "phase11"}}}
    table = table_of("sample_apex", "samples/phase11/S.parquet", parameters=scheme)
    check_tables([table], {"sample_apex": "other", "sample_apex/phase11": "c"})
    with pytest.raises(RuntimeError, match="sample_apex/phase11"):
        check_tables([table], {"sample_apex": "c", "sample_apex/phase11": "other"})


def test_a_file_that_two_rows_name_is_one_source(described: Project) -> None:
    table = described.results / "videos" / "Subject_01.parquet"
    assert list_sources([table, table]) == list_sources([table])
    assert len(list_sources([table])) == 2


def test_a_file_that_is_no_video_has_no_media_type_of_one() -> None:
    sources = [
        Source("a.mp4", "S", 1, "3" * 64, is_video=False),
        Source("b.MKV", "S", 1, "4" * 64, is_video=True),
    ]
    entities = read_entities(describe([table_of("index_clips", "clips.parquet")], sources))
    assert entities["#source/a.mp4"]["encodingFormat"] == "application/octet-stream"
    assert entities["#source/b.MKV"]["encodingFormat"] == "video/x-matroska"


def test_a_run_without_videos_is_described() -> None:
    entities = read_entities(describe([table_of("index_clips", "clips.parquet")], []))
    assert "#input/videos" not in entities
    assert references(entities) <= entities.keys()


def test_values_of_the_config_keep_their_kind() -> None:
    config = {"a": {"on": True, "n": 0, "x": 1.5, "none": None, "list": [], "t": "é"}}
    entities = read_entities(describe([table_of("index_clips", "clips.parquet")], [], **config))
    values = {name: entities[f"#value/a.{name}"]["value"] for name in config["a"]}
    assert values == {"on": True, "n": 0, "x": 1.5, "none": "null", "list": "[]", "t": "é"}
    kinds = {name: entities[f"#input/a.{name}"]["additionalType"] for name in config["a"]}
    assert kinds == {
        "on": "Boolean",
        "n": "Integer",
        "x": "Float",
        "none": "Text",
        "list": "Text",
        "t": "Text",
    }


def test_a_run_has_the_name_of_its_tables() -> None:
    def name(digest: str) -> str:
        table = Table("clips.parquet", 1, digest, 1, PROVENANCE)
        (run,) = of_type(read_entities(describe([table], [])), "CreateAction")
        return str(run["@id"])

    assert name("5" * 64) == name("5" * 64) != name("6" * 64)
