"""Command lines, ``mast:`` blocks and YAML files."""

from __future__ import annotations

import pytest
import yaml

from epymarl_mast.hosts import PyMARLzooPlus
from epymarl_mast.launch import prepare
from epymarl_mast.overrides import overrides_dir, read_yaml, shipped_algorithms, shipped_overrides
from epymarl_mast.report.record import flat
from epymarl_mast.schemas import SCHEMAS

LBF = ("env_args.key=lbforaging:Foraging-8x8-2p-3f-v3", "env_args.time_limit=50")


@pytest.fixture
def host(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return PyMARLzooPlus.installed() or pytest.skip("no PyMARLzoo+")


@pytest.fixture(scope="module")
def algorithms():
    return {name: read_yaml(path, name) for name, path in shipped_algorithms().items()}


class TestBlocks:
    few, many = 120, 3500

    def test_options_of_ours(self, campaign, cases, algorithms):
        def case(chance):
            config = algorithms[chance.choice(list(algorithms))]
            block = config["mast"]
            for _ in range(chance.randrange(3)):
                block = chance.tree(block)
            SCHEMAS[config["learner"]].from_config(block)

        campaign("mast: blocks", cases, case)


class TestCommandLines:
    few, many = 8, 1000

    def test_what_stands_after_mast_train(self, campaign, cases, host, algorithms):
        def case(chance):
            name = chance.choice([*algorithms] * 5 + ["qmix", chance.word()])
            keys = [*flat(algorithms.get(name, {})), "seed", "t_max", "env_args.seed", "nosuch"]
            words = list(LBF)
            for _ in range(chance.randrange(4)):
                value = chance.choice([chance.word(), str(chance.choice((0.5, 1, -2, "rigl")))])
                words.append(f"{chance.choice(keys)}={value}")
            words += chance.sample([*shipped_overrides(), chance.word()], chance.randrange(2))
            if chance.random() < 0.2:
                words.insert(chance.randrange(len(words)), chance.word())
            chance.shuffle(words)
            sacreds = chance.choice([[]] * 4 + [["-m", chance.word()], ["-f"], [chance.word()]])
            environment = chance.choice(["gymma"] * 9 + [chance.word()])
            prepare(
                host, [f"--config={name}", f"--env-config={environment}", *sacreds, "with", *words]
            )

        campaign("command lines", cases, case)


class TestYaml:
    few, many = 10, 1000

    def test_files_laid_over_an_algorithm(self, campaign, cases, host, tmp_path):
        texts = [path.read_bytes() for path in sorted(overrides_dir().glob("*/*.yaml"))]
        bombs = [
            b"[" * 5000, b"{a: " * 3000, b"a: &a [*a]", b"a: &a {b: *a}", b"when: 2026-13-45",
            b"n: 1" + b"0" * 5000, b"a: !!python/object/apply:os.system ['x']", b"? [a]\n: 1",
            b"1: 2", b"null: 1", b"mast: null", b"mast: []", b"\xff\xfe", b"a: b\n\ta: c",
            b"--- 1\n--- 2",
            b"\n".join([b"a0: &a0 [x, x]"] + [b"a%d: &a%d [*a%d, *a%d]" % (i, i, i - 1, i - 1)
                                               for i in range(1, 40)]),
        ]  # fmt: skip

        def case(chance):
            kind = chance.random()
            if kind < 0.15:
                content = chance.choice(bombs)
            elif kind < 0.5:
                tree = chance.tree(yaml.safe_load(chance.choice(texts)))
                content = yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "replace")
            elif kind < 0.9:
                content = chance.bytes_of(chance.choice(texts), tuple(texts))
            else:
                content = chance.choice(texts)
            path = tmp_path / f"over{chance.choice(['.yaml', '.yml', '.json', '.pickle', ''])}"
            if chance.random() < 0.8:
                path = tmp_path / "over.yaml"
            path.write_bytes(content)
            prepare(host, ["--config=mast_qmix", "--env-config=gymma", "with", *LBF, str(path)])

        campaign("YAML files", cases, case)
