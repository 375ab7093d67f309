"""The environment is what the lock says, with one cv2 and nothing that MediaPipe drags along."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata

import numpy as np
import pytest
import yaml

from cmedprep import crate
from tests.conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "envs"))
import make_environment

LOCK = tomllib.loads((REPOSITORY / "uv.lock").read_text())
UNWANTED = (
    "jax",
    "jaxlib",
    "opencv-contrib-python",
    "opencv-python",
    "sentencepiece",
    "sounddevice",
)


def test_installed_packages_are_the_locked_ones() -> None:
    locked = {package["name"]: package["version"] for package in LOCK["package"]}
    for name in ("av", "mediapipe", "numpy", "opencv-python-headless", "pandas", "pyarrow"):
        assert metadata.version(name) == locked[name]
    assert metadata.version("mediapipe") == "0.10.21"
    assert int(np.__version__.split(".")[0]) >= 2


def test_everybody_says_the_same_version() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    (locked,) = [p["version"] for p in LOCK["package"] if p["name"] == project["name"]]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    newest = re.findall(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.M)[0]
    (example,) = re.findall(r'tag="v([^"]+)"', (REPOSITORY / "README.md").read_text())
    assert {locked, citation["version"], newest, example, crate.VERSION} == {project["version"]}
    assert str(citation["date-released"]) == crate.RELEASED


def test_cv2_comes_from_the_headless_build_alone() -> None:
    assert metadata.packages_distributions()["cv2"] == ["opencv-python-headless"]


@pytest.mark.parametrize("name", UNWANTED)
def test_unwanted_packages_are_neither_installed_nor_locked(name: str) -> None:
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version(name)
    assert name not in {package["name"] for package in LOCK["package"]}


def test_every_locked_file_has_a_hash() -> None:
    for package in LOCK["package"]:
        for file in [
            *package.get("wheels", []),
            *([package["sdist"]] if "sdist" in package else []),
        ]:
            assert file["hash"].startswith("sha256:")


def test_conda_environment_is_in_step_with_the_lock() -> None:
    versions = make_environment.locked_versions(REPOSITORY / "uv.lock")
    environment, script = make_environment.render(versions)
    assert (REPOSITORY / "envs" / "cmed.yaml").read_text() == environment
    assert (REPOSITORY / "envs" / "cmed.post-deploy.sh").read_text() == script


def test_conda_environment_satisfies_every_requirement_but_mediapipes() -> None:
    # What pip would check: each package's needs, among the pins, on this Python.
    from packaging.requirements import Requirement

    (pip,) = [
        part["pip"]
        for part in yaml.safe_load((REPOSITORY / "envs" / "cmed.yaml").read_text())["dependencies"]
        if isinstance(part, dict)
    ]
    pins = dict(pin.split("==") for pin in pip)
    for name in pins:
        for text in metadata.requires(name) or []:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                pin = pins[re.sub(r"[-_.]+", "-", need.name).lower()]
                assert need.specifier.contains(pin, prereleases=True), (name, text)


def test_the_container_has_the_locked_packages_by_the_same_installer() -> None:
    steps = (REPOSITORY / "envs" / "Dockerfile").read_text()
    (version,) = re.findall(r"uv==(\S+)", steps)
    assert f"UV_VERSION := {version}\n" in (REPOSITORY / "Makefile").read_text()
    (copied,) = re.findall(r"^COPY (.+) \S+$", steps, re.M)
    assert all((REPOSITORY / name).is_file() for name in copied.split())
    assert "--locked --no-default-groups --group slurm" in steps


def test_mediapipe_works_without_what_is_left_out() -> None:
    code = "import mediapipe, sys; print([m for m in ('jax', 'sounddevice') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_looking_for_faces_imports_no_more_of_mediapipe_than_it_needs() -> None:
    code = (
        "import sys; sys.path.insert(0, 'workflow/scripts'); import cmedprep.faces; "
        "print([m for m in ('matplotlib', 'mediapipe.tasks') if m in sys.modules]); "
        "import mediapipe.python.solutions.face_mesh"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_graphs_are_those_of_the_whole_package() -> None:
    code = """
import sys
sys.path.insert(0, "workflow/scripts")
if sys.argv[1:]:
    import mediapipe
from cmedprep.faces import DistantFaces, FaceMesh
from mediapipe.python import solution_base
made = solution_base.calculator_graph.CalculatorGraph
def show(graph_config):
    print(graph_config)
    return made(graph_config=graph_config)
solution_base.calculator_graph.CalculatorGraph = show
with FaceMesh(0.5, 3), DistantFaces(0.5):  # closed, or the process may abort at its end
    pass
"""
    graphs = [
        subprocess.run(
            [sys.executable, "-c", code, *whole], capture_output=True, text=True, check=True
        ).stdout
        for whole in ([], ["whole"])
    ]
    assert "TensorsToFloatsCalculatorOptions" in graphs[0]
    assert graphs[0].count("num_threads: 1\n") == 2
    assert graphs[0] == graphs[1]


def test_rules_name_the_environment_file() -> None:
    rules = "".join(path.read_text() for path in (REPOSITORY / "workflow" / "rules").glob("*.smk"))
    assert rules.count('"../../envs/cmed.yaml"') == rules.count("script:")


def test_citation_and_project_agree_on_the_version() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == project["version"]
    assert f"## {project['version']}" in (REPOSITORY / "CHANGELOG.md").read_text()
