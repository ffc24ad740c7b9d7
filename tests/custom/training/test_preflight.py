"""What is checked before a run costs anything, on a small bundle of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from custom.errors import InputError
from custom.training import preflight
from custom.training.preflight import check_keys, log_only_root_cause, root_cause, running_config

TRAIN = {"imports": ["$import os"], "max_epochs": 9, "masks_dir": "m", "train": {"trainer": {"_target_": "X", "a": 1}}}
OVER = {"max_epochs": 3, "+imports": ["$import math"]}
INFER = {"threshold": 0.5, "run": ["$1"]}


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    (tmp_path / "structures").mkdir()
    for name, content in {
        "train": TRAIN,
        "structures/la": OVER,
        "inference": INFER,
        "metadata": {"version": "1"},
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def refusal(config: dict[str, Any], configs: Path) -> str:
    with pytest.raises(InputError) as raised:
        check_keys(config, configs)
    return str(raised.value)


def test_the_settings_of_the_configs_in_use_pass(configs: Path) -> None:
    check_keys(TRAIN, configs)
    check_keys({**TRAIN, **{"max_epochs": 3}}, configs)
    check_keys({**INFER, "_meta_": {"version": "1"}}, configs)


def test_a_folder_without_configs_is_not_the_bundles(tmp_path: Path) -> None:
    assert refusal(TRAIN, tmp_path / "configs") == (
        f"--bundle_root: found no configs in {tmp_path / 'configs'}; wanted the bundle's folder. "
        "Start the command there, or give --bundle_root with the path to it."
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("epocs", "max_epochs"),
        ("max_epoch", "max_epochs"),
        ("mask_dir", "masks_dir"),
        ("train::traner", "train::trainer"),
    ],
)
def test_a_mistyped_setting_is_refused_with_the_nearest(configs: Path, typed: str, meant: str) -> None:
    config = json.loads(json.dumps(TRAIN))
    group, _, key = typed.rpartition("::")
    (config[group] if group else config)[key] = 7
    assert refusal(config, configs) == (
        f"--{typed}: found a setting this bundle does not have; wanted one of its settings. Did you mean --{meant}?"
    )


def test_what_is_near_nothing_gets_no_wrong_hint(configs: Path) -> None:
    assert refusal({**TRAIN, "zzz": 1}, configs).endswith("docs/README.md of the bundle lists them.")
    assert refusal({**TRAIN, "version": 1}, configs).endswith("docs/README.md of the bundle lists them.")


def test_a_setting_of_another_config_is_refused_with_its_name(configs: Path) -> None:
    assert refusal({**INFER, "max_epochs": 3}, configs) == (
        "--max_epochs: found a setting of train.json, structures/la.json and not of this run; wanted one of its "
        "settings. Leave it out, or add that config to --config_file."
    )


def test_the_beginning_of_a_name_that_is_referred_to_is_no_setting(configs: Path) -> None:
    config = {**TRAIN, "folder": "@masks_dir", "where": "$@folder"}
    assert "--mask:" in refusal({**config, "mask": 1}, configs)
    assert "--where:" in refusal(config, configs)


def test_a_key_of_the_users_own_config_that_is_referred_to_passes(configs: Path) -> None:
    check_keys({**TRAIN, "mine": {"deep": 1}, "max_epochs": "$@mine::deep + 1"}, configs)
    check_keys({**TRAIN, "mine": 1, "max_epochs": "%mine"}, configs)


def test_what_a_user_names_inside_a_setting_declared_as_an_empty_object_passes(configs: Path) -> None:
    (configs / "train.json").write_text(json.dumps({**TRAIN, "changes": {}}))
    check_keys({**TRAIN, "changes": {"PV": {"components": 4}}}, configs)
    message = refusal({**TRAIN, "changes": {}, "change": {"PV": {"components": 4}}}, configs)
    assert message.startswith("--change: ") and message.endswith("Did you mean --changes?")
    assert "--train::PV:" in refusal({**TRAIN, "changes": {}, "train": {**TRAIN["train"], "PV": 4}}, configs)
    (configs / "train.json").write_text(json.dumps(TRAIN))
    (configs / "other.json").write_text(json.dumps({"changes": {}, "mine": 1}))
    assert "--changes:" in refusal({**TRAIN, "changes": {"PV": 1}}, configs)


def test_arguments_of_a_component_are_its_own_concern(configs: Path) -> None:
    check_keys({**TRAIN, "train": {"trainer": {"_target_": "X", "a": 1, "b": 2}}}, configs)


def test_a_component_sees_the_config_it_is_built_from() -> None:
    parser = ConfigParser({"seen": {"_target_": "custom.training.preflight.running_config"}, "typed": 7})
    assert parser.get_parsed_content("seen")["typed"] == 7
    assert running_config() == {}


def test_the_innermost_input_error_is_the_cause() -> None:
    inner = InputError("file", "x", "y", "Do z.")
    outer = RuntimeError("applying transform")
    outer.__cause__ = inner
    outermost = RuntimeError("evaluating")
    outermost.__context__ = outer
    assert root_cause(outermost) is inner
    other = RuntimeError("no user's fault")
    assert root_cause(other) is other


def test_the_cause_of_a_ring_of_errors_is_found() -> None:
    inner = InputError("file", "x", "y", "Do z.")
    outer = RuntimeError("applying transform")
    outer.__cause__, inner.__context__ = inner, outer
    assert root_cause(inner) is inner
    assert root_cause(outer) is inner


def test_an_uncaught_input_error_is_one_line_and_any_other_error_is_shown_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: whole.append(error))
    log_only_root_cause()
    log_only_root_cause()
    wrapped = RuntimeError("layers")
    wrapped.__cause__ = InputError("file", "x", "y", "Do z.")
    sys.excepthook(RuntimeError, wrapped, None)
    assert capsys.readouterr().err == "error: file: found x; wanted y. Do z.\n"
    assert whole == []
    fault = KeyError("a fault of ours")
    sys.excepthook(KeyError, fault, None)
    assert whole == [fault]


def flown(tmp_path: Path, **config: object) -> None:
    """A preflight inside a parser that holds ``config``, as a bundle builds it."""
    component = {
        "_target_": "custom.training.preflight.Preflight",
        "bundle_root": str(tmp_path),
        "folder": str(tmp_path / "out"),
        "seed": 5,
        "structure": "LA",
        "cpu_threads": 1,
    }
    ConfigParser({"preflight": component, **config}).get_parsed_content("preflight")


def test_preflight_sets_seed_and_threads_and_points_to_an_overlay_that_is_not_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seeds: list[int] = []
    threads: list[int] = []
    monkeypatch.setattr(preflight, "set_determinism", seeds.append)
    monkeypatch.setattr(preflight.torch, "set_num_threads", threads.append)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    (tmp_path / "configs" / "structures").mkdir(parents=True)
    (tmp_path / "configs" / "train.json").write_text('{"preflight": {}, "max_epochs": 3}')
    (tmp_path / "configs" / "structures" / "la.json").write_text('{"structure": "LA", "max_epochs": 7}')
    with caplog.at_level("INFO", "custom"):
        flown(tmp_path, max_epochs=7)
        assert caplog.messages == []
        flown(tmp_path, max_epochs=3)
    (text,) = caplog.messages
    assert "LA has settings that measured better" in text and "structures/la.json" in text
    assert (seeds, threads) == ([5, 5], [1, 1])
    assert not (tmp_path / "out").exists()  # only what has something to write makes it
