"""Check a config against its JSON schema and fill in the defaults."""

import difflib
import math
import os
from collections.abc import Mapping, MutableMapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from cmedplan.errors import PlanError
from cmedplan.names import emotion_key, key


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: Any, value: Any) -> bool:
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


# For JSON Schema 224.0 is an integer and NaN a number; for a crop's size neither will do.
_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def complete_config(config: MutableMapping[str, Any], schema_file: Path) -> None:
    """Fill every default into a config, in place, once it is known to be valid.

    Raises
    ------
    PlanError
        A key is unknown or missing, or a value is wrong; the error names the key.
    """
    schema = yaml.safe_load(schema_file.read_text(encoding="utf-8"))
    _fill_defaults(config, schema)
    errors = sorted(_Validator(schema).iter_errors(config), key=_outermost)
    if errors:
        raise _explain(errors[0])
    _find_home(config)
    _check_output(config["output"])
    _check_columns(config["dataset"]["columns"])
    _check_template(config["alignment"]["template"])
    _check_scheme_names(config)
    _check_labels(config["labels"])


def _outermost(error: ValidationError) -> tuple[int, list[str]]:
    return len(error.absolute_path), [str(part) for part in error.absolute_path]


def _fill_defaults(value: Any, schema: Mapping[str, Any]) -> None:
    if isinstance(value, MutableMapping):
        for name, part in schema.get("properties", {}).items():
            if "default" in part:
                value.setdefault(name, deepcopy(part["default"]))
            # A section that is written but left empty (`crop:`) means its defaults.
            if value.get(name) is None and part.get("type") == "object":
                value[name] = deepcopy(part.get("default", {}))
            if name in value:
                _fill_defaults(value[name], part)


def _explain(error: ValidationError) -> PlanError:
    place = _dotted(error.absolute_path)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties":
        known = sorted(schema.get("properties", {}))
        unknown = next(name for name in error.instance if name not in known)
        close = difflib.get_close_matches(str(unknown), known, n=1)
        return PlanError(
            f"config key `{_join(place, unknown)}`",
            expected=f"one of {', '.join(known)}",
            found=f"the unknown key `{unknown}`",
            remedy=f"did you mean `{close[0]}`?" if close else "remove it",
        )
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        part = schema.get("properties", {}).get(missing, {})
        return PlanError(
            f"config key `{_join(place, missing)}`",
            expected=part.get("description", "a value").strip(),
            found="nothing",
            remedy="set it in your config file",
        )
    if error.validator == "not":  # says what it is about in its description alone
        return PlanError(
            f"config key `{place}`",
            expected=schema["description"].strip(),
            found=repr(error.instance),
            remedy="see config/README.md",
        )
    return PlanError(
        f"config key `{place or '(whole file)'}`",
        expected=f"{error.validator} {error.validator_value}"
        + (f" ({schema['description'].strip()})" if "description" in schema else ""),
        found=repr(error.instance),
        remedy="write it into a config file, without quotes: inside braces on the command line "
        "Snakemake takes it for a word"
        if error.validator == "type" and _reads_as_valid(error.instance, schema)
        else "see config/README.md",
    )


def _reads_as_valid(word: Any, schema: Mapping[str, Any]) -> bool:
    """Tell whether a text would be a right value if YAML had read it."""
    try:
        return isinstance(word, str) and _Validator(schema).is_valid(yaml.safe_load(word))
    except (yaml.YAMLError, ValueError):  # ValueError: a date that there is not
        return False


def _find_home(config: MutableMapping[str, Any]) -> None:
    """Replace a leading ``~``, which a shell would, but not in a file."""
    for section, name in ((config["dataset"], "root"), (config, "output")):
        section[name] = os.path.expanduser(section[name])


def _check_output(output: str) -> None:
    if {"{", "}"} & set(output):
        expected = "a path without { and }, which Snakemake takes for wildcards"
    elif ":" in output.split("/")[0]:
        expected = "a path that does not begin like an address, which Arrow takes it for"
    else:
        return
    raise PlanError(
        "config key `output`",
        expected=expected,
        found=repr(output),
        remedy="choose another name, or, with a colon, write the path from / on",
    )


def _check_columns(columns: Mapping[str, str | None]) -> None:
    headers = [key(header) for header in columns.values() if header]
    twice = [
        f"`{name}: {header}`"
        for name, header in columns.items()
        if header and headers.count(key(header)) > 1
    ]
    if twice:
        raise PlanError(
            "config key `dataset.columns`",
            expected="a header of its own for each",
            found=", ".join(twice),
            remedy="name the right one, or leave out what is recognised by itself",
        )


def _check_template(template: Mapping[str, Any]) -> None:
    size, distance = template["size"], template["inter_ocular"]
    x, y = template["eye_midpoint"]
    if x - distance / 2 < 0 or x + distance / 2 > size - 1 or not 0 <= y <= size - 1:
        raise PlanError(
            "config key `alignment.template`",
            expected=f"both eyes inside its {size} x {size} pixels",
            found=f"eyes at x = {x - distance / 2:g} and {x + distance / 2:g}, y = {y:g}",
            remedy="change size, inter_ocular and eye_midpoint together; for smaller images of the "
            "same view set `crop.size` alone",
        )


def _check_scheme_names(config: Mapping[str, Any]) -> None:
    names = [scheme["name"] for scheme in config["sampling"]["schemes"]]
    folded = [name.casefold() for name in names]
    twice = sorted({name for name in names if folded.count(name.casefold()) > 1})
    if twice:
        raise PlanError(
            "config key `sampling.schemes`",
            expected="a different name for each scheme, as each is a folder",
            found=f"`{twice[0]}` more than once",
            remedy="rename one of them",
        )


def _check_labels(labels: Mapping[str, Any]) -> None:
    emotions = list(labels["three_class"])
    keys = [emotion_key(emotion) for emotion in emotions]
    twice = [emotion for emotion in emotions if keys.count(emotion_key(emotion)) > 1]
    if twice:
        raise PlanError(
            "config key `labels.three_class`",
            expected="each emotion once, whatever its spelling",
            found=", ".join(f"`{emotion}`" for emotion in twice),
            remedy="spell it as in config/config.yaml, whose emotions are among them unless yours "
            "have the same names",
        )
    classes = sorted({name for name in labels["three_class"].values() if name is not None})
    alike = [name for name in classes if [key(other) for other in classes].count(key(name)) > 1]
    if alike:
        raise PlanError(
            "config key `labels.three_class`",
            expected="each class in one spelling, as another would be another class",
            found=", ".join(f"`{name}`" for name in alike),
            remedy="spell it alike for all its emotions",
        )
    if labels["without_expression"] not in emotions:
        raise PlanError(
            "config key `labels.without_expression`",
            expected="one of the emotions in `labels.three_class`: " + ", ".join(emotions),
            found=repr(labels["without_expression"]),
            remedy="spell it as it is spelt there",
        )


def _dotted(path: Any) -> str:
    return "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" if i else str(part)
        for i, part in enumerate(path)
    )


def _join(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)
