"""A config is completed from the schema, or refused by one error that names the key."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cmedplan import config as module
from cmedplan.config import complete_config
from cmedplan.errors import PlanError

REPOSITORY = Path(__file__).parents[1]
SCHEMA_FILE = REPOSITORY / "workflow/schemas/config.schema.yaml"
SCHEMA = yaml.safe_load(SCHEMA_FILE.read_text())


@pytest.fixture(autouse=True, scope="module")
def _read_the_schema_once() -> Any:
    """Spare the parsing of the schema, which takes most of the time, hundreds of times."""
    real = yaml.safe_load
    text = SCHEMA_FILE.read_text(encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module.yaml, "safe_load", lambda given: SCHEMA if given == text else real(given)
        )
        yield


def completed(config: dict[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(config)
    complete_config(config, SCHEMA_FILE)
    return config


def with_root(**sections: Any) -> dict[str, Any]:
    return {"dataset": {"root": "CMED"}} | sections


def refusal(config: dict[str, Any]) -> str:
    with pytest.raises(PlanError) as error:
        completed(config)
    message = str(error.value)
    assert message.startswith("config key `")
    assert message.count("expected:") == message.count("found:") == 1
    assert "None None" not in message
    return message


def refused(config: dict[Any, Any]) -> str | None:
    """Complete a config in place and return the error, if there is one."""
    try:
        complete_config(config, SCHEMA_FILE)
    except PlanError as error:
        return str(error)
    return None


def nested(path: str, value: Any) -> dict[str, Any]:
    """Return a valid config but for one key, `a.b.c`."""
    config: dict[str, Any] = with_root()
    *sections, key = path.split(".")
    section = config
    for name in sections:
        section = section.setdefault(name, {})
    section[key] = value
    return config


def with_scheme(**scheme: Any) -> dict[str, Any]:
    return with_root(sampling={"schemes": [scheme]})


@pytest.mark.parametrize(
    "template",
    [
        {"size": 112},
        {"eye_midpoint": [1000, 90]},
        {"eye_midpoint": [112, -1]},
        {"inter_ocular": 230},
        {"eye_midpoint": [112, 223.5]},
        {"eye_midpoint": [111, 90], "inter_ocular": 223},
        {"eye_midpoint": [112, 90], "inter_ocular": 223},
    ],
)
def test_a_template_whose_eyes_are_outside_is_refused(template: dict[str, Any]) -> None:
    message = refusal(with_root(alignment={"template": template}))
    assert "both eyes inside" in message
    assert "`crop.size`" in message


@pytest.mark.parametrize("y", [0, 223])
def test_eyes_may_lie_in_the_outermost_pixels(y: int) -> None:
    at_the_rim = {"size": 224, "inter_ocular": 223, "eye_midpoint": [111.5, y]}
    config = completed(with_root(alignment={"template": at_the_rim}))
    assert config["alignment"]["template"] == at_the_rim


def test_a_smaller_template_with_all_three_keys_is_accepted() -> None:
    small = {"size": 112, "inter_ocular": 45, "eye_midpoint": [56, 45]}
    assert completed(with_root(alignment={"template": small}))["alignment"]["template"] == small


def test_an_output_that_others_would_take_for_something_else_is_refused() -> None:
    assert "wildcards" in refusal(with_root(output="results/{run}"))
    assert "address" in refusal(with_root(output="s3:results"))
    assert completed(with_root(output="/data/study:2"))["output"] == "/data/study:2"


def test_the_home_folder_is_found_as_a_shell_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    config = completed({"dataset": {"root": "~/CMED"}, "output": "~/results"})
    assert config["dataset"]["root"] == "/home/someone/CMED"
    assert config["output"] == "/home/someone/results"
    assert completed(with_root(output="a~b"))["output"] == "a~b"


def test_columns_may_have_any_headers_of_their_own() -> None:
    columns = {"subject": "ID", "filename": "Clip", "emotion": None, "apex_frame": "Apex"}
    config = {"dataset": {"root": "CMED", "columns": columns}}
    assert completed(config)["dataset"]["columns"] == columns


def test_a_header_that_two_columns_claim_is_refused() -> None:
    columns = {"subject": "Filename", "filename": " filename", "emotion": None}
    message = refusal({"dataset": {"root": "CMED", "columns": columns}})
    assert "`subject: Filename`" in message
    assert "emotion" not in message


# --- defaults --------------------------------------------------------------------------------


def every_key(schema: dict[str, Any], place: str = "") -> list[str]:
    found = []
    for name, part in schema.get("properties", {}).items():
        found += [f"{place}{name}", *every_key(part, f"{place}{name}.")]
    return found


def look_up(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = config[name]
    return config


def test_a_root_alone_makes_a_complete_config() -> None:
    config = completed(with_root())
    assert config["dataset"]["root"] == "CMED"
    assert config["alignment"]["template"]["eye_midpoint"] == [112, 90]
    for path in every_key(SCHEMA):
        look_up(config, path)


def test_every_default_is_valid_by_itself_and_stays_as_it_is() -> None:
    config = completed(with_root())
    assert completed(config) == config


def test_the_config_file_states_every_key_with_its_default() -> None:
    stated = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    assert set(every_key(SCHEMA)) - {"dataset.root"} <= {
        path for path in every_key(SCHEMA) if _states(stated, path)
    }
    stated["dataset"]["root"] = "CMED"
    assert completed(with_root()) == completed(stated)
    assert completed(stated) == stated


def _states(config: Any, path: str) -> bool:
    try:
        look_up(config, path)
    except (KeyError, TypeError):
        return False
    return True


def test_the_demos_config_is_valid() -> None:
    completed(yaml.safe_load((REPOSITORY / "config/demo.yaml").read_text()))


def test_defaults_are_not_shared_between_configs() -> None:
    one, other = completed(with_root()), completed(with_root())
    one["sampling"]["schemes"].clear()
    one["labels"]["three_class"].clear()
    assert other["sampling"]["schemes"]
    assert completed(with_root()) == other


def test_what_is_stated_is_kept() -> None:
    config = completed(nested("alignment.template.size", 256))
    assert config["alignment"]["template"] == completed(with_root())["alignment"]["template"] | {
        "size": 256
    }


@pytest.mark.parametrize(
    "path",
    [
        *("apex", "detection", "alignment", "alignment.template", "crop", "sampling", "labels"),
        *("motion", "splits"),
        *("dataset.columns", "labels.three_class", "subjects"),
    ],
)
def test_a_section_that_is_left_empty_has_its_defaults(path: str) -> None:
    assert completed(nested(path, None)) == completed(with_root())


# --- wrong keys ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("subject", "subjects"),
        ("dataset.rot", "root"),
        ("dataset.columns.apexframe", "apex_frame"),
        ("apex.out_of_rang", "out_of_range"),
        ("detection.max_face", "max_faces"),
        ("alignment.metod", "method"),
        ("alignment.template.sise", "size"),
        ("crop.formt", "format"),
        ("sampling.scheme", "schemes"),
        ("labels.three_classes", "three_class"),
    ],
)
def test_a_misspelt_key_is_named_with_the_one_that_was_meant(path: str, meant: str) -> None:
    message = refusal(nested(path, 1))
    assert f"config key `{path}`" in message
    assert f"did you mean `{meant}`" in message


def test_a_misspelt_key_of_a_scheme_is_named() -> None:
    message = refusal(with_scheme(name="a", method="phase", slots=3, slot=5))
    assert "config key `sampling.schemes[0].slot`" in message
    assert "did you mean `slots`" in message


@pytest.mark.parametrize("key", ["zzz", 7, None, True, ""])
def test_a_key_like_no_other_is_to_be_removed(key: Any) -> None:
    message = refusal(with_root(crop={key: 1}))
    assert f"`crop.{key}`" in message
    assert "remove it" in message


@pytest.mark.parametrize("config", [{}, {"dataset": None}, {"dataset": {}}, {"crop": None}])
def test_a_missing_root_is_named(config: dict[str, Any]) -> None:
    assert "config key `dataset" in refusal(config)


# --- wrong values ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("dataset", "CMED"),
        ("dataset", ["CMED"]),
        ("dataset.root", ""),
        ("dataset.root", 7),
        ("dataset.root", None),
        ("dataset.layout", "tree"),
        ("dataset.columns", ["subject"]),
        ("dataset.columns.subject", 1),
        *(("batch", value) for value in ("0/2", "1", "1/0", "a/2", "1/2/3", " 1/2", 1, "-1/2")),
        ("subjects", []),
        ("subjects", "Subject_01"),
        ("subjects", ["A", "A"]),
        ("apex.missing", "clamp"),
        ("apex.out_of_range", "guess"),
        ("images", "zip"),
        ("images", None),
        ("motion.methods", ["lucas"]),
        ("motion.methods", ["dis", "dis"]),
        ("motion.methods", "dis"),
        ("splits.folds", 1),
        ("splits.seeds", []),
        ("splits.seeds", [-1]),
        ("detection.min_confidence", 1.5),
        ("detection.min_confidence", -0.1),
        ("detection.min_confidence", "0.5"),
        ("detection.max_faces", 0),
        ("detection.max_faces", 2.5),
        ("detection.max_faces", True),
        ("alignment.method", "magic"),
        ("alignment.max_gap", -1),
        ("alignment.template.size", 31),
        ("alignment.template.inter_ocular", 0),
        ("alignment.template.eye_midpoint", [112]),
        ("alignment.template.eye_midpoint", 112),
        ("crop.size", "224"),
        ("crop.format", "jpg"),
        ("crop.quality", 0),
        ("sampling.without_apex", "guess"),
        ("sampling.schemes", []),
        ("sampling.schemes", None),
        ("labels.three_class", {}),
        ("labels.three_class", {"Hap py": "positive"}),
        ("labels.three_class", {"Happy": "", "No_Emotion": None}),
        ("labels.three_class", {"Happy": "positive ", "No_Emotion": None}),
        ("labels.without_expression", None),
        ("output", ""),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_repeated(path: str, value: Any) -> None:
    message = refusal(nested(path, value))
    assert f"config key `{path}" in message
    assert message.count("\n") <= 4


@pytest.mark.parametrize(
    ("path", "word", "told"),
    [
        *(
            ("crop.size", "224", True),
            ("report.faces", "true", True),
            ("splits.seeds", "[1]", True),
        ),
        *(
            ("crop.size", "1", False),
            ("crop.size", "wide", False),
            ("crop.size", "2024-13-99", False),
        ),
        *(("crop.size", "{", False), ("dataset", "CMED", False)),
    ],
)
def test_a_word_that_should_be_a_number_is_told_where_to_go(
    path: str, word: str, told: bool
) -> None:
    """Of `--config 'crop={size: 224}'` Snakemake makes a word."""
    assert ("into a config file, without quotes" in refusal(nested(path, word))) == told


@pytest.mark.parametrize(
    "path", ["alignment.template.inter_ocular", "detection.min_confidence", "crop.size"]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_has_to_be_one(path: str, value: float) -> None:
    assert f"config key `{path}`" in refusal(nested(path, value))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_place_has_to_be_one(value: float) -> None:
    refusal(nested("alignment.template.eye_midpoint", [value, 90]))


@pytest.mark.parametrize(
    "path", ["crop.size", "crop.quality", "detection.max_faces", "alignment.max_gap"]
)
def test_a_whole_number_never_arrives_as_a_fraction(path: str) -> None:
    """`224.0` counts as an integer in JSON Schema, and breaks the job that gets it."""
    try:
        value = look_up(
            completed(nested(path, 30.0 if path != "detection.max_faces" else 3.0)), path
        )
    except PlanError:
        return
    assert isinstance(value, int)


def test_a_schemes_slots_never_arrive_as_a_fraction() -> None:
    try:
        config = completed(with_scheme(name="a", method="phase", slots=11.0))
    except PlanError:
        return
    assert isinstance(config["sampling"]["schemes"][0]["slots"], int)


def test_a_subject_that_yaml_takes_for_a_number_is_named() -> None:
    message = refusal(with_root(subjects=["Subject_01", 7]))
    assert "config key `subjects[1]`" in message
    assert "string" in message


# --- sampling schemes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "key"),
    [
        ({"name": "a", "method": "phase", "slots": 10}, "slots"),
        ({"name": "a", "method": "phase", "slots": 1}, "slots"),
        ({"name": "a", "method": "phase"}, "slots"),
        ({"name": "a", "method": "phase", "slots": 5, "radius": 2}, "radius"),
        ({"name": "a", "method": "phase", "slots": 5, "boundary": "edge"}, "boundary"),
        ({"name": "a", "method": "window"}, "radius"),
        ({"name": "a", "method": "window", "radius": -1}, "radius"),
        ({"name": "a", "method": "window", "radius": 2, "slots": 5}, "slots"),
        ({"name": "a", "method": "window", "radius": 2, "boundary": "wrap"}, "boundary"),
        ({"name": "a", "method": "keyframes", "slots": 3}, "slots"),
        ({"name": "a", "method": "keyframes", "radius": 3}, "radius"),
        ({"name": "a", "method": "guess"}, "method"),
        ({"name": "a"}, "method"),
        ({"method": "keyframes"}, "name"),
        ({"name": "a b", "method": "keyframes"}, "name"),
        ({"name": "../a", "method": "keyframes"}, "name"),
        ({"name": "a\n", "method": "keyframes"}, "name"),
        ({"name": "", "method": "keyframes"}, "name"),
        ({"name": "a", "method": "tim"}, "slots"),
        ({"name": "a", "method": "tim", "slots": 10, "spacing": "phase"}, "slots"),
        ({"name": "a", "method": "tim", "slots": 10, "spacing": "odd"}, "spacing"),
        ({"name": "a", "method": "tim", "slots": 1}, "slots"),
        ({"name": "a", "method": "uniform"}, "slots"),
        ({"name": "a", "method": "uniform", "slots": 5, "spacing": "even"}, "spacing"),
        ({"name": "a", "method": "uniform", "slots": 5, "radius": 5}, "radius"),
        ({"name": "a", "method": "phase", "slots": 5, "spacing": "even"}, "spacing"),
        ({"name": "a", "method": "keyframes", "frames": "some"}, "frames"),
    ],
)
def test_a_faulty_scheme_is_refused_by_its_key(scheme: dict[str, Any], key: str) -> None:
    assert f"config key `sampling.schemes[0].{key}`" in refusal(with_scheme(**scheme))


def test_an_even_number_of_slots_is_told_to_be_odd() -> None:
    assert "odd" in refusal(with_scheme(name="a", method="phase", slots=10))


@pytest.mark.parametrize("names", [("a", "a"), ("a", "A")])
def test_two_schemes_of_one_name_are_refused(names: tuple[str, str]) -> None:
    schemes = [{"name": name, "method": "keyframes"} for name in names]
    message = refusal(with_root(sampling={"schemes": schemes}))
    assert "config key `sampling.schemes`" in message
    assert "more than once" in message


@pytest.mark.parametrize(
    "scheme",
    [
        {"name": "a", "method": "phase", "slots": 3},
        {"name": "a", "method": "window", "radius": 0},
        {"name": "a", "method": "window", "radius": 2, "boundary": "shrink"},
        {"name": "a", "method": "keyframes"},
        {"name": "a", "method": "uniform", "slots": 2},
        {"name": "a", "method": "tim", "slots": 10},
        {"name": "a", "method": "tim", "slots": 11, "spacing": "phase", "frames": "distinct"},
        {"name": "a", "method": "keyframes", "frames": "all"},
    ],
)
def test_a_good_scheme_is_taken(scheme: dict[str, Any]) -> None:
    (taken,) = completed(with_scheme(**scheme))["sampling"]["schemes"]
    assert scheme.items() <= taken.items()


# --- labels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no_emotion", "Neutral"])
def test_the_emotion_without_expression_has_to_be_one_of_the_labels(name: str) -> None:
    """Else every such clip would silently count as one whose apex is missing."""
    assert "config key `labels" in refusal(nested("labels.without_expression", name))


def test_two_labels_of_one_emotion_are_refused() -> None:
    labels = {"No_Emotion": None, "NoEmotion": None, "Happy": "positive"}
    assert "config key `labels.three_class" in refusal(nested("labels.three_class", labels))


def test_two_spellings_of_one_class_are_refused() -> None:
    labels = {"Sad": "negative", "Fear": "Negative", "Happy": "positive", "No_Emotion": None}
    message = refusal(nested("labels.three_class", labels))
    assert "config key `labels.three_class" in message
    assert "`Negative`, `negative`" in message


@pytest.mark.parametrize(
    "labels", [{False: "x"}, {1: "x", "No_Emotion": None}, {1: 5, "Happy": 5, "No_Emotion": 5}]
)
def test_a_label_that_yaml_takes_for_something_else_is_refused(labels: dict[Any, Any]) -> None:
    assert "config key `labels.three_class" in refusal(nested("labels.three_class", labels))


# --- anything at all -------------------------------------------------------------------------

KEYS = sorted({name for path in every_key(SCHEMA) for name in path.split(".")} | {"name", "slots"})
names = st.sampled_from(KEYS) | st.text(max_size=3) | st.integers(0, 3) | st.none() | st.booleans()
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["phase", "window", "auto", "landmarks", "png", "CMED"])
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)
)


def ordinary(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Make configs of the schema's own shape, in which now and then something is off."""
    parts = {name: ordinary(part) for name, part in schema.get("properties", {}).items()}
    if not parts:
        return leaves | values
    return st.fixed_dictionaries({}, optional=parts) | values


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(names, values, max_size=4) | ordinary(SCHEMA).filter(lambda c: type(c) is dict)
)
def test_any_config_is_completed_or_refused_by_one_clear_error(config: dict[Any, Any]) -> None:
    message = refused(config)
    if message is None:
        assert set(every_key(SCHEMA)) <= {p for p in every_key(SCHEMA) if _states(config, p)}
    else:
        assert "expected:" in message
        assert "None None" not in message


@settings(max_examples=60, deadline=None)
@given(path=st.sampled_from(sorted(every_key(SCHEMA))), value=values)
def test_any_value_of_one_key_is_taken_or_refused_by_that_key(path: str, value: Any) -> None:
    message = refused(nested(path, value))
    assert message is None or f"config key `{path.split('.')[0]}" in message
