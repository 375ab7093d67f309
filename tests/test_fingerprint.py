"""An edit reaches the stages whose results it can change, and no others."""

import ast
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from cmedplan.config import complete_config
from cmedplan.fingerprint import PACKAGES, _assets, _imports, code_fingerprint, reach
from cmedplan.stages import STAGES, stage_chain, stage_parameters

WORKFLOW = Path(__file__).parents[1] / "workflow"
SCRIPTS = WORKFLOW / "scripts"
MODULES = sorted(SCRIPTS.glob("cmed*/*.py"))
PAGES = {"report_subject", "report_dataset"}
TABLE_MAKERS = set(STAGES) - {"write_crate"} - PAGES


def after(*stages: str) -> set[str]:
    """Return some stages and all that come after them."""
    found = set(stages)
    while more := {name for name in STAGES if found & set(STAGES[name].after)} - found:
        found |= more
    return found


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    config: dict[str, Any] = {"dataset": {"root": "CMED"}, "motion": {"methods": ["dis"]}}
    complete_config(config, WORKFLOW / "schemas/config.schema.yaml")
    return config


@pytest.fixture(scope="module")
def fingerprints() -> dict[str, str]:
    return {stage: code_fingerprint(SCRIPTS / f"{stage}.py") for stage in STAGES}


Edit = Callable[[str, Callable[[str], str]], set[str]]


@pytest.fixture
def edit(tmp_path: Path, fingerprints: dict[str, str]) -> Edit:
    """Edit a file of a copy of the scripts, and return the stages that this changes."""

    def apply(name: str, change: Callable[[str], str]) -> set[str]:
        copy = tmp_path / "scripts"
        shutil.copytree(SCRIPTS, copy, ignore=shutil.ignore_patterns("__pycache__"))
        before = (copy / name).read_text()
        text = change(before)
        assert text != before
        (copy / name).write_text(text)
        return {
            stage
            for stage in STAGES
            if code_fingerprint(copy / f"{stage}.py") != fingerprints[stage]
        }

    return apply


def append(line: str) -> Callable[[str], str]:
    return lambda text: f"{text}\n{line}\n"


def reached(stage: str) -> set[str]:
    sources, _ = reach(SCRIPTS / f"{stage}.py")
    return {path.relative_to(SCRIPTS).as_posix() for path in sources}


# --- what a stage reaches --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "needed_by"),
    [
        ("sampling", {"sample_apex"}),
        ("samples", {"sample_apex"}),
        ("faces", {"detect_faces"}),
        ("following", {"detect_faces"}),
        ("detection", {"detect_faces"}),
        ("alignment", {"align_faces"}),
        ("stabilise", {"align_faces"}),
        ("crops", {"extract_frames"}),
        ("repeats", {"extract_frames"}),
        ("spotting", {"extract_frames", "measure_motion"}),
        ("interpolation", {"sample_apex"}),
        ("apexes", {"sample_apex", "measure_motion"}),
        ("flow", {"measure_motion"}),
        ("splits", {"make_splits"}),
        ("extraction", {"extract_frames"}),
        ("cascade", {"detect_faces"}),
        (
            "landmarks",
            {"detect_faces", "align_faces", "extract_frames", "measure_motion", "write_manifest"}
            | PAGES,
        ),
        ("geometry", {"align_faces", "extract_frames", "measure_motion"}),
        ("manifest", {"write_manifest"} | PAGES),
        ("ledger", {"probe_videos", "index_subject", "index_clips"}),
    ],
)
def test_a_module_is_reached_by_the_stages_that_need_it_and_no_others(
    module: str, needed_by: set[str]
) -> None:
    assert {stage for stage in STAGES if f"cmedprep/{module}.py" in reached(stage)} == needed_by


@pytest.mark.parametrize("stage", ["probe_videos", "detect_faces", "extract_frames"])
def test_every_stage_that_decodes_reaches_the_decoder(stage: str) -> None:
    assert "cmedprep/decoding.py" in reached(stage)


def test_the_decoder_adds_nothing_to_rerun_beyond_what_follows_decoding() -> None:
    users = {stage for stage in STAGES if "cmedprep/decoding.py" in reached(stage)}
    assert users <= after("probe_videos")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reaches_its_own_script_and_what_the_script_reaches_exists(stage: str) -> None:
    assert f"{stage}.py" in reached(stage)
    assert all((SCRIPTS / name).is_file() for name in reached(stage))


@pytest.mark.parametrize("stage", ["detect_faces", "align_faces", "extract_frames", "sample_apex"])
def test_stages_that_do_not_plan_do_not_depend_on_the_plan(stage: str) -> None:
    assert not reached(stage) & {f"cmedplan/{n}.py" for n in ("plan", "scan", "metadata", "names")}


def test_a_fingerprint_depends_on_content_and_not_on_place_or_time(
    tmp_path: Path, fingerprints: dict[str, str]
) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(SCRIPTS, copy, copy_function=shutil.copyfile)
    assert {stage: code_fingerprint(copy / f"{stage}.py") for stage in STAGES} == fingerprints


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS.glob("*.py")], ids=lambda path: path.stem)
def test_our_modules_are_imported_in_the_one_form_that_is_followed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not [a.name for a in node.names if a.name.startswith(("cmedplan", "cmedprep"))]
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS.glob("*.py")], ids=lambda path: path.stem)
def test_imports_and_assets_are_found_as_python_itself_finds_them(path: Path) -> None:
    imports, assets = set(), []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in PACKAGES:
            names = frozenset(alias.name for alias in node.names)
            if node.module in PACKAGES:
                imports |= {(f"{node.module}.{name}", frozenset({"*"})) for name in names}
            else:
                imports.add((str(node.module), names))
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["ASSETS"]:
            assets += ast.literal_eval(node.value)
    assert _imports(path) == imports
    assert [asset.name for asset in _assets(path)] == assets


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from cmedprep.a import B", {("cmedprep.a", frozenset("B"))}),
        ("from cmedprep.a import B as C, D  # x", {("cmedprep.a", frozenset("BD"))}),
        ("from cmedprep.a import (\n    B,\n    C,\n)", {("cmedprep.a", frozenset("BC"))}),
        ("def f():\n    from cmedprep.a import B", {("cmedprep.a", frozenset("B"))}),
        ("from cmedprep import a, b", {(f"cmedprep.{n}", frozenset("*")) for n in "ab"}),
        ("from cmedprepared.a import B\nfrom numpy import a", set()),
    ],
)
def test_every_way_to_write_an_import_is_followed(
    tmp_path: Path, text: str, found: set[tuple[str, frozenset[str]]]
) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)
    assert _imports(path) == found


def test_no_two_reached_files_share_a_name() -> None:
    """Make sure of the order in which a fingerprint takes its files: that of their names."""
    for stage in STAGES:
        names = [Path(name).name for name in reached(stage)]
        assert len(names) == len(set(names))


# --- edits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["sampling", "faces", "video", "geometry", "alignment", "tables", "ledger", "clips"]
)
def test_an_edited_module_changes_exactly_the_stages_that_reach_it(edit: Edit, name: str) -> None:
    path = f"cmedprep/{name}.py"
    assert edit(path, append("NEW = 1")) == {stage for stage in STAGES if path in reached(stage)}


@pytest.mark.parametrize("stage", ["probe_videos", "align_faces"])
def test_an_edited_script_changes_its_own_stage_alone(edit: Edit, stage: str) -> None:
    assert edit(f"{stage}.py", append("NEW = 1")) == {stage}


def test_a_comment_counts_as_content(edit: Edit) -> None:
    assert edit("cmedprep/sampling.py", append("# a remark")) == {"sample_apex"}


def test_a_newly_imported_module_is_followed(edit: Edit) -> None:
    changed = edit("sample_apex.py", append("from cmedprep import faces"))
    assert changed == {"sample_apex"}


@pytest.mark.parametrize(
    ("table", "users"),
    [
        ("VIDEOS", {"probe_videos"}),
        ("INDEX", {"index_subject", "index_clips", "write_manifest"}),
        ("CLIPS", {"index_clips"}),
        ("FACES", {"detect_faces"}),
        ("ALIGNMENT", {"align_faces"}),
        ("FRAMES", {"extract_frames"}),
        ("EXPRESSION", {"extract_frames", "measure_motion"}),
        ("SAMPLES", {"sample_apex"}),
        ("MOTION", {"measure_motion"}),
        ("SPLITS", {"make_splits"}),
        ("MANIFEST", {"write_manifest"}),
    ],
)
def test_a_new_column_changes_the_makers_of_its_table_alone(
    edit: Edit, table: str, users: set[str]
) -> None:
    head = f"\n{table} = pa.schema("

    def add_column(text: str) -> str:
        start = text.index(head)
        end = text.index("]", text.index("[", start) if table != "CLIPS" else start)
        return f'{text[:end].rstrip().rstrip(",")}, pa.field("new", pa.int8()){text[end:]}'

    changed = edit("cmedprep/schemas.py", add_column)
    assert changed == users


def test_a_new_column_of_all_rows_changes_every_maker_of_clip_rows(edit: Edit) -> None:
    changed = edit(
        "cmedprep/schemas.py",
        lambda text: text.replace("CLIP_KEYS = (", 'CLIP_KEYS = (pa.field("x", pa.int8()),', 1),
    )
    assert changed == TABLE_MAKERS


def test_a_new_version_of_the_schemas_changes_every_maker_of_tables(edit: Edit) -> None:
    changed = edit(
        "cmedprep/schemas.py",
        lambda text: text.replace('SCHEMA_VERSION = "', 'SCHEMA_VERSION = "9'),
    )
    assert changed == TABLE_MAKERS | PAGES


def test_a_comment_between_schemas_changes_nothing(edit: Edit) -> None:
    assert edit("cmedprep/schemas.py", append("# a remark\nNEW_TABLE = pa.schema([])")) == set()


@pytest.mark.parametrize(
    ("asset", "pages"),
    [("page.css", PAGES), ("subject.js", {"report_subject"}), ("data_set.js", {"report_dataset"})],
)
def test_an_edited_template_style_or_script_changes_its_pages_alone(
    edit: Edit, asset: str, pages: set[str]
) -> None:
    assert edit(f"cmedreport/assets/{asset}", append("/* a remark */")) == pages


def test_every_asset_is_named_by_a_module_that_reads_it() -> None:
    named = {name for stage in PAGES for name in reached(stage) if "/assets/" in name}
    assert named == {path.relative_to(SCRIPTS).as_posix() for path in SCRIPTS.glob("*/assets/*")}


# --- the graph of stages ---------------------------------------------------------------------


def test_the_stages_have_no_circle_and_start_with_the_videos() -> None:
    for stage in STAGES:
        assert set(STAGES[stage].after) <= set(STAGES)
        assert stage not in after(*(name for name in STAGES if stage in STAGES[name].after))
    assert after("probe_videos") == set(STAGES)


def test_every_stage_has_a_script_and_a_rule_of_its_name() -> None:
    """That of samples is a name for them: they are made in the job of the manifest."""
    rules = "".join(path.read_text() for path in (WORKFLOW / "rules").glob("*.smk"))
    for stage in STAGES:
        assert (SCRIPTS / f"{stage}.py").is_file()
        assert f"rule {stage}:" in rules
    assert not reached("write_manifest") & {"sample_apex.py", "cmedprep/sampling.py"}


def chains(config: dict[str, Any], scripts: Path = SCRIPTS) -> dict[str, str]:
    return {stage: stage_chain(stage, config, scripts) for stage in STAGES}


@pytest.fixture(scope="module")
def old(config: dict[str, Any]) -> dict[str, str]:
    return chains(config)


@pytest.mark.parametrize(
    ("section", "key", "value", "first"),
    [
        ("apex", "out_of_range", "clamp", {"index_subject"}),
        ("labels", "without_expression", "Happy", {"index_subject"}),
        ("detection", "max_faces", 1, {"detect_faces"}),
        ("alignment", "max_gap", 0, {"align_faces"}),
        ("crop", "size", 96, {"extract_frames"}),
        ("sampling", "without_apex", "skip", {"sample_apex", "measure_motion"}),
        ("motion", "methods", ["tvl1"], {"measure_motion"}),
        ("splits", "folds", 3, {"make_splits"}),
        ("dataset", "root", "elsewhere", set()),
    ],
)
def test_a_parameter_changes_its_stage_and_what_follows_and_nothing_before(
    config: dict[str, Any],
    old: dict[str, str],
    section: str,
    key: str,
    value: Any,
    first: set[str],
) -> None:
    changed = deepcopy(config)
    changed[section][key] = value
    new = chains(changed)
    assert {stage for stage in STAGES if old[stage] != new[stage]} == after(*first)


def test_every_parameter_of_the_config_is_read_by_some_stage(config: dict[str, Any]) -> None:
    read = {section for stage in STAGES.values() for section in stage.parameters}
    assert read == set(config) - {"dataset", "subjects", "batch", "output", "verify"}


@pytest.mark.parametrize("stage", ["probe_videos", "align_faces", "index_subject"])
def test_edited_code_changes_the_chains_of_what_follows_alone(
    config: dict[str, Any], old: dict[str, str], tmp_path: Path, stage: str
) -> None:
    copy = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / f"{stage}.py").write_text((copy / f"{stage}.py").read_text() + "\n# edited\n")
    new = chains(config, copy)
    assert {name for name in STAGES if old[name] != new[name]} == after(stage)


def test_the_order_of_the_config_makes_no_difference(
    config: dict[str, Any], old: dict[str, str]
) -> None:
    assert chains(dict(reversed(list(config.items())))) == old


def test_a_new_scheme_leaves_the_others_be(config: dict[str, Any], old: dict[str, str]) -> None:
    more = deepcopy(config)
    more["sampling"]["schemes"].insert(0, {"name": "new", "method": "keyframes"})
    for scheme in [entry["name"] for entry in config["sampling"]["schemes"]]:
        assert stage_chain("sample_apex", more, SCRIPTS, scheme) == stage_chain(
            "sample_apex", config, SCRIPTS, scheme
        )
        assert stage_parameters("sample_apex", config, scheme)["sampling"]["scheme"]["name"] == (
            scheme
        )
    assert stage_chain("write_manifest", more, SCRIPTS) != old["write_manifest"]


# --- hosted workflows ------------------------------------------------------------------------


def test_the_list_of_modules_names_every_python_file() -> None:
    listed = (SCRIPTS / "modules.txt").read_text().split()
    assets = [path for path in SCRIPTS.glob("*/assets/*") if path.is_file()]
    files = [*SCRIPTS.rglob("*.py"), *assets]
    assert listed == sorted(path.relative_to(SCRIPTS).as_posix() for path in files)
