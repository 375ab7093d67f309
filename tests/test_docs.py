"""The docs name every column, every status and every key of the config."""

import re
import shlex

import pytest
import yaml
from snakemake.cli import get_argument_parser

from cmedplan.names import VIDEO_SUFFIXES
from cmedprep import ledger, schemas
from tests.conftest import REPOSITORY

OUTPUTS = (REPOSITORY / "docs" / "outputs.md").read_text()
TABLES = (
    *("VIDEOS", "INDEX", "CLIPS", "FACES", "ALIGNMENT", "FRAMES_WITH_IMAGES", "EXPRESSION"),
    *("SAMPLES_WITH_IMAGES", "MOTION", "MANIFEST", "SPLITS"),
)


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_explained(table: str) -> None:
    internal = {"video_status", "video_reason"}  # `index` gives both as status and reason
    named = set(re.findall(r"`(\w+)`", OUTPUTS))
    assert set(getattr(schemas, table).names) - internal <= named


def test_every_status_is_explained() -> None:
    statuses = set(re.findall(r"^``(\w+)``", ledger.__doc__ or "", re.M))
    assert len(statuses) > 15
    assert statuses <= set(re.findall(r"`(\w+)`", OUTPUTS))


def test_the_endings_by_which_a_stray_is_known_are_listed() -> None:
    (line,) = [line for line in OUTPUTS.splitlines() if line.startswith("| `stray_video`")]
    assert {f".{ending}" for ending in re.findall(r"`(\w+)`", line)[1:]} == VIDEO_SUFFIXES


def test_every_key_of_the_config_is_explained() -> None:
    schema = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())
    page = (REPOSITORY / "config" / "README.md").read_text()
    for section, part in schema["properties"].items():
        assert f"## `{section}`" in page
        for key in part.get("properties", {}):
            assert f"`{key}" in page, f"{section}.{key}"


def test_links_lead_somewhere() -> None:
    for page in (
        REPOSITORY / "README.md",
        *REPOSITORY.glob("docs/*.md"),
        *REPOSITORY.glob("config/*.md"),
    ):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)


def test_commands_are_read_as_they_are_meant() -> None:
    # `--configfile` takes several files, and a target that follows it for one of them.
    pages = [REPOSITORY / "README.md", *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("config/*")]
    known = get_argument_parser()
    commands = [
        (page.name, command.split(" #")[0])
        for page in pages
        for command in re.findall(r"\bsnakemake (-[^`\n)]*)", page.read_text())
        if "…" not in command
    ]
    assert len(commands) > 12
    for page, command in commands:
        options = known.parse_args(shlex.split(command))
        assert all(str(path).endswith(".yaml") for path in options.configfile or []), (
            page,
            command,
        )
        planned = {"--report", "--workflow-profile"} & set(shlex.split(command))
        assert options.cores or planned, (page, command)
