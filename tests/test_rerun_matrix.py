"""Exactly what a change concerns reruns: every row of the table in `reruns`.

Rows about the data set and the config are dry runs of Snakemake on finished results. A rule
reruns when its chain changes; so for values of keys and for edits of code, of which there are
many, chains are compared, and a few dry runs show that Snakemake says the same.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from cmedplan.config import complete_config
from cmedplan.stages import STAGES, stage_chain
from tests import reruns
from tests.conftest import REPOSITORY, Project
from tests.reruns import CODE, CONFIG, DATA, KEYS, RULES, Row

SCRIPTS = REPOSITORY / "workflow" / "scripts"
SCHEMA = REPOSITORY / "workflow" / "schemas" / "config.schema.yaml"
METADATA = "video_emotion_metadata.csv"
BOTH = ("Subject_01", "Subject_02")
SCHEMES = 3

Change = Callable[[Project], None]
CHANGES: dict[str, Change] = {}


def change(function: Change) -> Change:
    """Take a function for the change of its name."""
    CHANGES[function.__name__] = function
    return function


def videos(project: Project, subject: str = "*") -> list[Path]:
    return sorted(project.root.glob(f"FinalFullVideos_subjects/*/{subject}/*.mp4"))


def edit_rows(project: Project, edit: Callable[[pd.DataFrame], pd.DataFrame], **how: Any) -> None:
    """Edit the metadata file, every cell as it is written."""
    path = project.root / METADATA
    edit(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False, **how)


def is_first(table: pd.DataFrame) -> pd.Series:
    """Mark the row of the first subject's first clip."""
    return (table["subject"] == "Subject_01") & (table["filename"] == "vid1.mp4")


# --- changes of the data set -----------------------------------------------------------------


@change
def video_changed(project: Project) -> None:
    first, second = videos(project, "Subject_01")
    shutil.copyfile(second, first)


@change
def video_older(project: Project) -> None:
    first, second = videos(project, "Subject_01")
    shutil.copyfile(second, first)
    os.utime(first, (0, 0))


@change
def videos_touched(project: Project) -> None:
    for path in videos(project):
        os.utime(path, (1, 1))


@change
def videos_recopied(project: Project) -> None:
    for path in videos(project):
        copy = path.with_suffix(".new")
        shutil.copyfile(path, copy)
        path.unlink()
        copy.rename(path)


@change
def clip_new(project: Project) -> None:
    source = videos(project, "Subject_01")[0]
    shutil.copy(source, source.with_name("added.mp4"))
    with (project.root / METADATA).open("a") as file:
        file.write(f"Subject_01,added.mp4,{source.parent.parent.name},2\n")


@change
def clip_removed(project: Project) -> None:
    video_removed(project)
    row_removed(project)


@change
def video_removed(project: Project) -> None:
    (path,) = (path for path in videos(project, "Subject_01") if path.name == "vid1.mp4")
    path.unlink()


@change
def row_removed(project: Project) -> None:
    edit_rows(project, lambda table: table[~is_first(table)])


@change
def apex(project: Project) -> None:
    edit_rows(project, lambda t: t.assign(apex_frame=t["apex_frame"].mask(is_first(t), "1")))


@change
def emotion(project: Project) -> None:
    edit_rows(
        project, lambda table: table.assign(emotion=table["emotion"].mask(is_first(table), "Sad"))
    )


@change
def rows_reordered(project: Project) -> None:
    edit_rows(project, lambda table: table.iloc[::-1])


@change
def rows_rewritten(project: Project) -> None:
    how = {"quoting": 1, "lineterminator": "\r\n", "encoding": "utf-8-sig", "sep": ";"}
    edit_rows(project, lambda table: table, **how)


@change
def subject_new(project: Project) -> None:
    for path in videos(project, "Subject_01"):
        target = path.parent.with_name("Subject_03") / path.name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    edit_rows(
        project,
        lambda table: pd.concat(
            [table, table[table["subject"] == "Subject_01"].assign(subject="Subject_03")]
        ),
    )


@change
def subject_removed(project: Project) -> None:
    for path in videos(project, "Subject_01"):
        path.unlink()
    edit_rows(project, lambda table: table[table["subject"] != "Subject_01"])


# --- changes of the config -------------------------------------------------------------------


def complete(config: dict[str, Any]) -> dict[str, Any]:
    completed = deepcopy(config)
    complete_config(completed, SCHEMA)
    return completed


@change
def comments(project: Project) -> None:
    (project.folder / "config").mkdir()
    default = (REPOSITORY / "config" / "config.yaml").read_text()
    text = f"# A remark.\n\n{default}\n# Another.\n"
    (project.folder / "config" / "config.yaml").write_text(text)


@change
def order(project: Project) -> None:
    def reverse(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: reverse(value[name]) for name in sorted(value, reverse=True)}
        return (
            [reverse(part) if isinstance(part, dict) else part for part in value]
            if isinstance(value, list)
            else value
        )

    config = reverse(complete(project.config))
    project.config.clear()
    project.config.update(config)


@change
def scheme_new(project: Project) -> None:
    added = {"name": "w1", "method": "window", "radius": 1}
    schemes = complete(project.config)["sampling"]["schemes"]
    project.config["sampling"] = {"schemes": [added, *schemes]}


@change
def scheme_removed(project: Project) -> None:
    schemes = complete(project.config)["sampling"]["schemes"]
    project.config["sampling"] = {"schemes": schemes[1:]}


@change
def subject_left_out(project: Project) -> None:
    project.config["subjects"] = ["Subject_02"]


@change
def place(project: Project) -> None:
    moved = project.root.with_name("elsewhere")
    shutil.copytree(project.root, moved)
    (moved / METADATA).rename(moved / "other.csv")
    project.config["dataset"] = {"root": "elsewhere", "metadata": "other.csv", "layout": "subjects"}
    project.config["verify"] = {"reference": "somewhere"}


@change
def headers(project: Project) -> None:
    columns = {name: f"my {name}" for name in ("subject", "filename", "emotion", "apex_frame")}
    edit_rows(project, lambda table: table.rename(columns=columns))
    project.config["dataset"]["columns"] = columns


@change
def output(project: Project) -> None:
    project.config["output"] = "elsewhere"


def expected_jobs(row: Row) -> Counter[str]:
    """Return the jobs that a row of the table announces."""
    concerned = {
        reruns.ITS: ("Subject_01",),
        reruns.NEW: ("Subject_03",),
        reruns.NOBODY: (),
    }.get(row.subjects, BOTH)
    jobs: Counter[str] = Counter()
    for rule in row.rules:
        if rule in reruns.ONCE:
            jobs[rule] = 1
        elif rule == "measure_motion":
            continue  # It is switched off.
        for subject in concerned if rule not in reruns.ONCE else ():
            jobs[f"{rule} {subject}"] = 1
    return jobs


@pytest.mark.parametrize("name", [*DATA, *CONFIG])
def test_a_change_reruns_exactly_its_row(tiny: Project, name: str) -> None:
    CHANGES[name](tiny)
    run = tiny.succeed("--dry-run")
    row = (DATA | CONFIG)[name]
    assert run.jobs == expected_jobs(row), run.output
    assert run.idle == (not row.rules)


def test_every_row_has_its_change() -> None:
    assert CHANGES.keys() == DATA.keys() | CONFIG.keys()


# --- values of keys --------------------------------------------------------------------------


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield every key of a schema that holds a value and not a section."""
    for name, part in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        inner = part.get("items", {}) if part.get("type") == "array" else part
        if "properties" in inner:
            yield from leaves(inner, here + "[]" * (inner is not part))
        else:
            yield here


def test_every_key_of_the_schema_has_its_row() -> None:
    named = [key.replace("[0]", "[]").replace("[1]", "[]").replace("[2]", "[]") for key in KEYS]
    assert sorted([*named, *reruns.EXAMPLES]) == sorted(leaves(yaml.safe_load(SCHEMA.read_text())))


def test_every_example_of_a_key_is_a_row() -> None:
    assert set(reruns.EXAMPLES.values()) <= CONFIG.keys()


def with_value(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    changed = deepcopy(config)
    place: Any = changed
    *way, last = [
        int(part) if part.isdigit() else part
        for part in key.replace("[", ".").replace("]", "").split(".")
    ]
    for part in way:
        place = place[part]
    assert place.get(last) != value
    place[last] = value
    return changed


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return complete({"dataset": {"root": "CMED"}, "motion": {"methods": ["dis"]}})


def chains(config: dict[str, Any], scripts: Path = SCRIPTS) -> dict[str, str]:
    return {rule: stage_chain(rule, config, scripts) for rule in RULES}


@pytest.fixture(scope="module")
def before(config: dict[str, Any]) -> dict[str, str]:
    return chains(config)


def changed(before: dict[str, str], after: dict[str, str]) -> tuple[str, ...]:
    return tuple(rule for rule in RULES if before[rule] != after[rule])


@pytest.mark.parametrize("key", KEYS)
def test_the_value_of_a_key_changes_the_chains_of_its_row(
    config: dict[str, Any], before: dict[str, str], key: str
) -> None:
    value, rules = KEYS[key]
    assert changed(before, chains(with_value(config, key, value))) == rules


@pytest.mark.parametrize("key", [key for key in KEYS if "[" in key])
def test_a_key_of_a_scheme_changes_the_chain_of_its_scheme_alone(
    config: dict[str, Any], key: str
) -> None:
    after = with_value(config, key, KEYS[key][0])

    def chains_of(config: dict[str, Any]) -> list[str]:
        schemes = [scheme["name"] for scheme in config["sampling"]["schemes"]]
        return [stage_chain("sample_apex", config, SCRIPTS, scheme) for scheme in schemes]

    position = int(key.split("[")[1][0])
    different = [old != new for old, new in zip(chains_of(config), chains_of(after), strict=True)]
    assert different == [number == position for number in range(SCHEMES)]


@pytest.mark.parametrize("key", ["detection.max_faces", "apex.out_of_range"])
def test_snakemake_reruns_what_the_chains_say_of_a_key(tiny: Project, key: str) -> None:
    value, rules = KEYS[key]
    project = replace(tiny, config=with_value(complete(tiny.config), key, value))
    row = Row(key, reruns.EVERY, rules)
    assert project.succeed("--dry-run").jobs == expected_jobs(row)


# --- code ------------------------------------------------------------------------------------


def code_files() -> list[Path]:
    """List modules, and the templates, styles and scripts of pages."""
    assets = [path for path in SCRIPTS.glob("*/assets/*") if path.is_file()]
    return [*SCRIPTS.rglob("*.py"), *assets]


def test_every_file_of_code_has_its_row() -> None:
    files = {path.relative_to(SCRIPTS).as_posix() for path in code_files()}
    assert reruns.modules().keys() == files


def test_every_rule_of_a_run_has_its_column() -> None:
    assert set(RULES) == STAGES.keys() - {"write_crate", "sample_apex"}


@pytest.mark.parametrize("name", reruns.modules())
def test_an_edit_of_code_changes_the_chains_of_its_row(
    config: dict[str, Any], before: dict[str, str], tmp_path: Path, name: str
) -> None:
    for source in code_files():
        target = tmp_path / source.relative_to(SCRIPTS)
        target.parent.mkdir(exist_ok=True, parents=True)
        target.symlink_to(source)
    edited = tmp_path / name
    text = edited.read_text()
    edited.unlink()
    edited.write_text(f"{text}\nNEW = 1\n")
    assert changed(before, chains(config, tmp_path)) == reruns.modules()[name]


@pytest.mark.parametrize("name", CODE)
def test_snakemake_reruns_what_the_chains_say_of_code(
    tiny: Project, own_repository: Path, name: str
) -> None:
    row = CODE[name]
    if row.rules:
        path = row.change.strip("`")
        assert reruns.modules()[path] == row.rules
        with (own_repository / "workflow" / "scripts" / path).open("a") as file:
            file.write("\nNEW = 1\n")
    run = replace(tiny, repository=own_repository).succeed("--dry-run")
    assert run.jobs == expected_jobs(row)


# --- the page --------------------------------------------------------------------------------


def test_the_page_is_made_from_this_table() -> None:
    assert reruns.PAGE.read_text(encoding="utf-8") == reruns.page(), "run: make docs-reruns"
