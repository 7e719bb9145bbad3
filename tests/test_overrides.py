"""The YAML files we ship agree with the schema; files that cannot be read are told."""

from __future__ import annotations

import re

import pytest

from epymarl_mast.checks import check_run
from epymarl_mast.command import merge
from epymarl_mast.errors import OptionError
from epymarl_mast.overrides import (
    overrides_dir,
    read_yaml,
    shipped_algorithms,
    shipped_environments,
    shipped_file,
    shipped_overrides,
)
from epymarl_mast.schemas import SCHEMAS

ALGORITHMS = shipped_algorithms()
ABLATIONS = {path.stem: path for path in sorted((overrides_dir() / "ablations").glob("*.yaml"))}
OWN = {"name", "learner", "mixer", "agent", "obs_agent_id"}  # what makes one algorithm another
OWN_OF = {
    "mast_facmac": {"operator"},  # its target policies choose the action
    "mast_comix": {"operator", "mac", "obs_last_action", "use_rnn"},  # continuous actions
}
each_algorithm = pytest.mark.parametrize("file", ALGORITHMS.values(), ids=ALGORITHMS)
each_ablation = pytest.mark.parametrize("file", ABLATIONS.values(), ids=ABLATIONS)


def leaves(block, above=()):
    """``{path: value}`` of a nested block."""
    found = {}
    for key, value in block.items():
        inner = leaves(value, (*above, key)) if isinstance(value, dict) else {(*above, key): value}
        found.update(inner)
    return found


def test_there_are_algorithms_and_ablations():
    assert ALGORITHMS.keys() == {
        "mast_qmix", "mast_qmix_ns", "mast_vdn", "mast_iql", "mast_ow_qmix", "mast_cw_qmix",
        "mast_res", "mast_facmac", "mast_comix",
    }  # fmt: skip
    assert "all_off" in ABLATIONS


def schema_of(file):
    return SCHEMAS[read_yaml(file, "")["learner"]]


@each_algorithm
def test_an_algorithm_has_exactly_the_options_of_the_schema(file):
    assert read_yaml(file, "").get("mast", {}).keys() == schema_of(file).model_fields.keys()


def test_algorithms_share_what_is_not_their_own():
    first = read_yaml(ALGORITHMS["mast_qmix"], "mast_qmix")
    for name, file in ALGORITHMS.items():
        other = read_yaml(file, name)
        own = OWN | OWN_OF.get(name, set())
        for ours, theirs in ((first["mast"], other["mast"]), (first, other)):
            for key in (ours.keys() & theirs.keys()) - own - {"mast"}:
                assert theirs[key] == ours[key], (name, key)
        assert first["mast"].keys() <= other["mast"].keys()
        of_mixers = {"mixing_embed_dim", "hypernet_layers", "hypernet_embed"}
        assert first.keys() - other.keys() <= OWN | of_mixers, name


@each_algorithm
def test_an_algorithm_can_be_run_as_shipped(file):
    config = read_yaml(file, "")

    options = check_run(config)

    assert options.model_dump() == config["mast"]
    assert config["name"] == file.stem


@each_algorithm
def test_every_option_has_a_comment(file):
    lines = file.read_text(encoding="utf-8").splitlines()

    for key in schema_of(file).model_fields:
        (line,) = (line for line in lines if line.startswith(f"  {key}:"))
        _, _, comment = line.partition(" # ")
        assert len(comment.split()) >= 3, f"{key} has no comment"


@each_algorithm
def test_choices_are_named_in_the_comment(file):
    schema = schema_of(file).model_json_schema()["properties"]
    text = file.read_text(encoding="utf-8")

    for key, kind in schema.items():
        (comment,) = re.findall(rf"^  {key}:.* # (.+(?:\n +# .+)*)$", text, re.MULTILINE)
        missing = [choice for choice in kind.get("enum", ()) if choice not in comment]
        assert not missing, f"{key} does not name {missing}"


@each_algorithm
def test_the_ratio_of_the_two_buffers_is_the_papers(file):
    config = read_yaml(file, "")

    assert config["buffer_size"] == 50 * config["mast"]["online_buffer_size"]
    assert config["batch_size"] == 3 * config["mast"]["online_batch_size"]
    assert config["batch_size"] + config["mast"]["online_batch_size"] == 32


@each_ablation
def test_an_ablation_changes_existing_keys_to_other_valid_values(file):
    before, changes = read_yaml(ALGORITHMS["mast_qmix"], ""), read_yaml(file, "")
    known = leaves(before)

    for path, value in leaves(changes).items():
        assert path in known, f"{'.'.join(path)} is not in mast_qmix"
        assert value != known[path], f"{'.'.join(path)} is {value} anyway"
    merge(before, changes)
    options = check_run(before)
    assert before["batch_size"] + options.online_batch_size == 32


BASELINES = {path.stem: path for path in sorted((overrides_dir() / "baselines").glob("*.yaml"))}


def test_every_baseline_of_the_paper_is_there():
    assert BASELINES.keys() == {"dense", "tiny", "ss", "set", "rigl", "rlx2"}


@each_algorithm
@pytest.mark.parametrize("baseline", BASELINES)
def test_a_baseline_goes_with_every_algorithm(file, baseline):
    config = read_yaml(file, "")
    known = leaves(config)
    changes = read_yaml(BASELINES[baseline], "")
    assert leaves(changes).keys() <= known.keys()
    merge(config, changes)

    options = check_run(config)

    topology = {"dense": "dense", "tiny": "dense", "ss": "static", "set": "set"}
    assert options.topology == topology.get(baseline, "rigl")
    assert options.tiny == (baseline == "tiny")
    assert (options.operator, options.online_buffer_size) == ("max", 0)
    assert options.target == ("delayed_n_step" if baseline == "rlx2" else "one_step")
    assert (options.dynamic_buffer_size > 0) == (baseline == "rlx2")
    assert config["batch_size"] == 32


def test_dense_is_all_off():
    dense, all_off = (read_yaml(ALGORITHMS["mast_qmix"], "") for _ in range(2))
    merge(dense, read_yaml(BASELINES["dense"], ""))
    merge(all_off, read_yaml(ABLATIONS["all_off"], ""))

    assert dense == all_off


def test_overrides_have_short_names_of_their_own():
    found = [path.stem for path in overrides_dir().glob("*/*.yaml")]
    assert len(found) == len(set(found)), "two shipped files have the same name"
    whole = ALGORITHMS.keys() | shipped_environments().keys()
    assert shipped_overrides().keys() == set(found) - whole
    assert shipped_file("rigl") == BASELINES["rigl"]
    assert shipped_file("mast_qmix") is None


def test_all_off_is_every_ablation_of_a_target_or_buffer_on_a_dense_network():
    together, all_off = (read_yaml(ALGORITHMS["mast_qmix"], "") for _ in range(2))
    for name in ("no_sparsity", "no_soft_mellowmax", "no_td_lambda", "no_dual_buffers"):
        merge(together, read_yaml(ABLATIONS[name], ""))
    merge(all_off, read_yaml(ABLATIONS["all_off"], ""))

    assert together == all_off


def test_a_shipped_file_is_found_by_its_path_in_the_repository():
    assert shipped_file("config_overrides/ablations/all_off.yaml") == ABLATIONS["all_off"]
    assert shipped_file("config_overrides/ablations/all_of.yaml") is None
    assert shipped_file("elsewhere/ablations/all_off.yaml") is None
    assert shipped_file("") is None


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "gone.yaml"

    with pytest.raises(OptionError) as refused:
        read_yaml(path, "--config=gone")

    assert str(refused.value).startswith(f"--config=gone: cannot read {path}: ")


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "mask.yaml"
    path.write_bytes(b"mast: \xff\xfe")

    with pytest.raises(
        OptionError, match=r"--config=mask: cannot read .*mask\.yaml: 'utf-8' codec"
    ):
        read_yaml(path, "--config=mask")


def test_broken_yaml_is_told_with_line_and_column(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("lr: 1\nmast:\n  sparsity: [0.9\nname: x\n")

    with pytest.raises(OptionError) as refused:
        read_yaml(path, "--config=broken")

    message = str(refused.value)
    assert message.startswith(f"--config=broken: {path} line 4, column ")
    assert " is not valid YAML: " in message
    assert "\n" not in message


def test_a_character_that_yaml_forbids_is_told(tmp_path):
    path = tmp_path / "bell.yaml"
    path.write_text("name: \x07\n")

    with pytest.raises(OptionError, match="is not valid YAML: "):
        read_yaml(path, "--config=bell")


@pytest.mark.parametrize("content", ["", "- sparsity\n", "0.9\n"], ids=["empty", "list", "number"])
def test_a_file_that_is_no_block_is_named(tmp_path, content):
    path = tmp_path / "list.yaml"
    path.write_text(content)

    with pytest.raises(OptionError, match=r"list\.yaml holds no block of options \(key: value\)"):
        read_yaml(path, "--config=list")
