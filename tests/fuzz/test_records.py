"""What runs leave behind, read again: masks, sweeps, Sacred's directories."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
import yaml

from epymarl_mast.overrides import overrides_dir, read_yaml
from epymarl_mast.report import tables
from epymarl_mast.report.files import read_folder
from epymarl_mast.report.make import Request, choose, make_report
from epymarl_mast.report.mask_pictures import density_per_agent
from epymarl_mast.report.page import html_page
from epymarl_mast.report.record import COSTS, RETURN, WIN_RATE
from epymarl_mast.report.results import curves, over_tasks, rows
from epymarl_mast.sweep.plan import check_runs, read_sweep, short_titles
from epymarl_mast.sweep.slurm import array_script
from epymarl_mast.sweep.state import RunState, note_completed
from epymarl_mast.tracking.mask_history import MaskHistory, packed
from epymarl_mast.tracking.summary import finished_run, print_summary


class TestMasks:
    few, many = 60, 1000

    def test_masks_of_a_run(self, campaign, cases, tmp_path):
        def whole(seed, scale=1):
            rng = np.random.default_rng(seed)
            names = {"agent.agents.0.fc1.weight": (5, 7), "agent.agents.1.fc1.weight": (5, 7)}
            return packed({n: rng.random(np.array(s) * scale) < 0.3 for n, s in names.items()})

        def saved(arrays):
            buffer = io.BytesIO()
            np.savez_compressed(buffer, allow_pickle=True, **arrays)
            return buffer.getvalue()

        others = (
            np.array(-3), np.array([10**9, 10**9]), np.array([0.5, "x"], object), np.zeros(0),
            np.array([2, 3, 4]), np.array("text"), np.zeros((1 << 22), np.uint8),
        )  # fmt: skip

        def case(chance):
            folder = tmp_path / "1"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for step in range(chance.randrange(4)):
                arrays = whole(step, chance.choice((1, 1, 1, 2)))
                what = chance.random()
                if what < 0.2:
                    arrays[chance.choice(list(arrays))] = chance.choice(others)
                elif what < 0.3:
                    del arrays[chance.choice(list(arrays))]
                content = saved(arrays)
                if chance.random() < 0.2:
                    content = chance.bytes_of(content)
                number = chance.choice([f"{step:012d}"] * 9 + [chance.word()[:50]])
                name = f"masks_{number}.npz".replace("/", "").replace("\0", "")
                (folder / name).write_bytes(content)
            history = MaskHistory.of_run(folder)
            assert all(len(mask) == len(history.steps) for mask in history.masks.values())
            density_per_agent(history, {})

        campaign("mask files", cases, case)


class TestSweeps:
    few, many = 20, 600

    def test_sweep_files_and_what_is_left_of_runs(self, campaign, cases, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        lbf = {"env-config": "gymma", "env_args.key": "lbforaging:Foraging-8x8-2p-3f-v3",
               "env_args.time_limit": 25}  # fmt: skip
        plain = {
            "host": "pymarlzooplus", "results": "out", "mongo": None, "configs": ["mast_qmix"],
            "environments": [lbf], "overrides": ["", "rigl", ["ss"]], "seeds": 2,
            "options": {"t_max": 300, "mast.sparsity": [0.9, 0.95]},
            "runs": [{"config": "mast_vdn", "environment": lbf, "seed": 3, "options": {"lr": 0.1}}],
        }  # fmt: skip
        text = yaml.safe_dump(plain).encode()

        def case(chance):
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
            file = tmp_path / "sweep.yaml"
            if chance.random() < 0.3:
                file.write_bytes(chance.bytes_of(text))
            else:
                tree = plain
                for _ in range(chance.randrange(3)):
                    tree = chance.tree(tree)
                file.write_text(yaml.safe_dump(tree, allow_unicode=True), "utf-8", "replace")
            sweep = read_sweep(file)
            short_titles(sweep.runs)
            if chance.random() < 0.05:
                check_runs(sweep)
            runs = sweep.runs[:3]
            for run in runs:
                assert run.id
                assert run.command
            if sweep.results == tmp_path / "out":
                left_behind(chance, runs)
            note_completed(runs)
            for state in map(RunState, runs):
                assert state.finished in (True, False)
                assert 0 <= state.progress() <= 1
                state.tail()
            array_script(sweep.file, runs, sweep.results)

        def left_behind(chance, runs):
            for number, run in enumerate(runs):
                state = RunState(run)
                state.folder.mkdir(parents=True)
                state.log.write_bytes(chance.bytes_of(b"training: 10%| 30/300 [00:01<\r" * 20))
                state.finish(1.0)
                done = state.folder / "done.json"
                done.write_bytes(chance.bytes_of(done.read_bytes()))
                record = tmp_path / "out" / "sacred" / "a" / "b" / str(number)
                record.mkdir(parents=True)
                config = {"label": f"sweep-{run.id}"}
                times = {"start_time": "2026-01-01T10:00:00", "stop_time": "2026-01-01T10:01:00"}
                entry = {"status": "COMPLETED", **times}
                (record / "config.json").write_text(json.dumps(chance.tree(config)))
                (record / "run.json").write_text(json.dumps(chance.tree(entry)))

        campaign("sweep files", cases, case)


RECORD = {
    "run.json": {
        "status": "COMPLETED", "start_time": "2026-01-01T10:00:00.5",
        "stop_time": "2026-01-01T10:10:00", "host": {"epymarl_mast": {"version": "0.1"}},
    },
    "metrics.json": {
        name: {"steps": [1000 * i for i in range(25)], "values": [0.02 * i for i in range(25)]}
        for name in (RETURN, WIN_RATE, *COSTS)
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def configuration():
    config = read_yaml(overrides_dir() / "algs" / "mast_qmix.yaml", "")
    config.update(seed=1, t_max=24_000, test_interval=1000, env_args={"map_name": "3m"})
    return config


def write_runs(chance, folder, configuration):
    """Some runs, of which one or another is damaged."""
    shutil.rmtree(folder, ignore_errors=True)
    for number in range(1 + chance.randrange(3)):
        run = folder / "sacred" / "mast_qmix" / "3m" / str(number)
        run.mkdir(parents=True)
        parts = {**RECORD, "config.json": {**configuration, "seed": number}}
        for _ in range(chance.choice((0, 0, 1, 2))):
            name = chance.choice(list(parts))
            parts[name] = chance.tree(parts[name])
        for name, content in parts.items():
            data = json.dumps(content).encode("utf-8", "replace")
            data = chance.bytes_of(data) if chance.random() < 0.08 else data
            (run / name).write_bytes(b"[" * 100_000 if chance.random() < 0.01 else data)
    return folder


class TestRecords:
    few, many = 20, 700

    def test_sacreds_directories(self, campaign, cases, configuration, tmp_path):
        def case(chance):
            folder = write_runs(chance, tmp_path / "results", configuration)
            for run in folder.glob("sacred/*/*/*"):
                finished = finished_run(run)
                if finished is not None:
                    print_summary(finished, seconds=1.0)
            found = list(read_folder(folder, {RETURN, WIN_RATE, *COSTS}))
            by = chance.choice([None, None, ("algorithm",), ("mast.td_lambda", chance.word())])
            request = Request((str(folder),), tmp_path / "out", by=by)
            selection, notes = choose(found, request)
            single = rows(selection, 20, None)
            curves(selection, single, chance.random() < 0.5)
            table = [*single, *over_tasks(single)[0]]
            out = tmp_path / "out"
            out.mkdir(exist_ok=True)
            tables.write_tables(out, table, selection.findings)
            findings = tables.runs_table(selection.findings)
            readable = tables.readable(table)
            page = html_page("Report", "mast", "1 run compared", 20, readable, findings, notes, [])
            assert "<script" not in page

        campaign("Sacred directories", cases, case)


class TestReports:
    few, many = 1, 20

    def test_whole_reports(self, campaign, cases, configuration, tmp_path):
        def case(chance):
            folder = write_runs(chance, tmp_path / "results", configuration)
            lines = list(make_report(Request((str(folder),), tmp_path / "out")))
            assert (tmp_path / "out" / "report.html").is_file()
            assert lines

        campaign("reports", cases, case)
