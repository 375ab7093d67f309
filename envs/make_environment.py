"""Write `cmed.yaml`, the environment of `--sdm conda`, from `uv.lock`: run `make envs`.

Conda gives Python alone and pip the rest, at the locked versions. pip cannot be told to leave
out what MediaPipe asks for and never imports (jax, a second OpenCV) nor to pair it with NumPy 2,
so MediaPipe itself is installed by `cmed.post-deploy.sh`, without its dependencies, after all
that it does need.
"""

import tomllib
from pathlib import Path

from packaging.markers import Marker

HERE = Path(__file__).parent
PYTHON = "3.12"
ALONE = "mediapipe"
TARGET = {
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.0",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "extra": "",
}


def locked_versions(lock: Path) -> dict[str, str]:
    """Return name and version of every package the workflow needs at run time."""
    packages = tomllib.loads(lock.read_text())["package"]
    candidates = [package for package in packages if _applies(package.get("resolution-markers"))]
    by_name = {package["name"]: package for package in candidates}
    (project,) = [package for package in packages if "virtual" in package["source"]]
    needed: dict[str, str] = {}
    waiting = list(project["dependencies"])
    while waiting:
        dependency = waiting.pop()
        package = by_name[dependency["name"]]
        if _applies([dependency["marker"]] if "marker" in dependency else None):
            extras = package.get("optional-dependencies", {})
            waiting += [d for extra in dependency.get("extra", []) for d in extras[extra]]
            if package["name"] not in needed:
                needed[package["name"]] = package["version"]
                waiting += package.get("dependencies", [])
    return dict(sorted(needed.items()))


def render(versions: dict[str, str]) -> tuple[str, str]:
    """Return the texts of the environment file and of its post-deploy script."""
    pins = "".join(f"      - {n}=={v}\n" for n, v in versions.items() if n != ALONE)
    environment = (
        "# Written by envs/make_environment.py from uv.lock; not to be edited.\n"
        "channels:\n  - conda-forge\n"
        f"dependencies:\n  - python={PYTHON}\n  - pip\n  - pip:\n{pins}"
    )
    script = (
        "# Written by envs/make_environment.py from uv.lock; not to be edited.\n"
        "set -eu\n"
        f"python -m pip install --no-deps {ALONE}=={versions[ALONE]}\n"
    )
    return environment, script


def _applies(markers: list[str] | None) -> bool:
    return markers is None or any(Marker(marker).evaluate(TARGET) for marker in markers)


def main() -> None:
    """Write both files."""
    environment, script = render(locked_versions(HERE.parent / "uv.lock"))
    (HERE / "cmed.yaml").write_text(environment)
    (HERE / "cmed.post-deploy.sh").write_text(script)


if __name__ == "__main__":
    main()
