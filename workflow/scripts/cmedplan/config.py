"""Check a config against its JSON schema and fill in the defaults."""

import difflib
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, relevance

from cmedplan.errors import PlanError


def complete_config(config: MutableMapping[str, Any], schema_file: Path) -> None:
    """Fill every default into a config, in place, once it is known to be valid.

    Raises
    ------
    PlanError
        A key is unknown or missing, or a value is wrong; the error names the key.
    """
    schema = yaml.safe_load(schema_file.read_text(encoding="utf-8"))
    _fill_defaults(config, schema)
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=relevance, reverse=True)
    if errors:
        raise _explain(errors[0])
    _check_scheme_names(config)


def _fill_defaults(value: Any, schema: Mapping[str, Any]) -> None:
    if isinstance(value, MutableMapping):
        for name, part in schema.get("properties", {}).items():
            if "default" in part:
                value.setdefault(name, _copy(part["default"]))
            # A section that is written but left empty (`crop:`) means its defaults.
            if value.get(name) is None and part.get("type") == "object":
                value[name] = {}
            if name in value:
                _fill_defaults(value[name], part)


def _copy(default: Any) -> Any:
    return yaml.safe_load(yaml.safe_dump(default))


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
    return PlanError(
        f"config key `{place or '(whole file)'}`",
        expected=f"{error.validator} {error.validator_value}"
        + (f" ({schema['description'].strip()})" if "description" in schema else ""),
        found=repr(error.instance),
        remedy="see config/README.md",
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


def _dotted(path: Any) -> str:
    return "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" if i else str(part)
        for i, part in enumerate(path)
    )


def _join(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)
