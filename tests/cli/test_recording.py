"""Records that are made of finished runs."""

import json
import shlex

import pytest

from tests.cli.conftest import SMALL, call
from zoo.errors import UsageError
from zoo.experiments import find, records
from zoo.runs import recording
from zoo.training.run_folder import RunFolder


def test_a_record_holds_what_the_run_wrote_down(trained):
    folder = RunFolder.open(trained)
    (figures,) = [line for line in folder.read_metrics() if "test/elbo" in line]
    record = recording.recorded(folder, note="Of a test.")
    assert record.elbo == pytest.approx((figures["test/elbo"], figures["test/elbo_stderr"]), abs=1e-4)
    assert record.log_likelihood[0] == pytest.approx(figures["test/log_likelihood"], abs=1e-4)
    assert (record.samples, record.steps, record.seed, record.note) == (5, 28, 3, "Of a test.")
    assert record.protocol.endswith("20 test images")
    assert record.hardware
    assert record.date


def test_its_command_sets_the_options_of_the_run(trained):
    folder = RunFolder.open(trained)
    program, verb, name, *words = shlex.split(recording.recorded(folder).command)
    assert (program, verb, name) == ("zoo", "train", SMALL[0])
    assert words[words.index("--seed") + 1] == "3"
    assert words[words.index("--epochs") + 1] == "2"
    assert words[words.index("--images") + 1] == "20"
    options = {"epochs": "2", "batch_size": "100"} | dict(w.split("=", 1) for w in words if "=" in w)
    assert find(name).override(options).options() == find(name).override(folder.config["options"]).options()


def test_its_time_is_that_of_the_steps(tmp_path):
    folder = RunFolder.create(tmp_path / "run", {"options": {"batch_size": 10}})
    for step, rate in ((4, 20.0), (6, 40.0)):  # 4 steps of 10 images at 20 images a second, 2 at 40
        speeds = {"train/images_per_second": rate, "train/images_per_second_of_cpu": 2 * rate}
        folder.append_metrics({"step": step, **speeds})
    assert recording.seconds_of_steps(folder) == pytest.approx((2.5, 1.25))


def test_figures_of_another_evaluation_are_taken(zoo, trained, tmp_path):
    file = tmp_path / "figures.json"
    zoo("evaluate", trained, "--samples", 30, "--images", 10, "--json", file)
    record = recording.recorded(RunFolder.open(trained), figures=json.loads(file.read_text()))
    assert record.samples == 30
    assert record.pareto_k is not None
    assert "--samples 30" in record.command


def test_a_run_without_figures_is_refused(tmp_path):
    outcome = call("train", *SMALL, "--out", tmp_path / "run", "--steps", 1)
    assert outcome.code == 0
    folder = RunFolder.open(tmp_path / "run")
    folder.metrics_file.write_text("")
    with pytest.raises(UsageError, match="zoo evaluate"):
        recording.recorded(folder)


def test_a_record_is_added_once_and_the_tables_follow(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    (tmp_path / "records.json").write_text("[]")
    assert recording.main([str(trained), "--note", "First."]) == 0
    assert recording.main([str(trained), "--note", "Second."]) == 0
    (record,) = records.records()
    assert record.note == "Second."
    printed = capsys.readouterr().out.splitlines()[-1]
    assert records.Record.of_json(json.loads(printed)) == record
    assert (tmp_path / "README.md").read_text() == records.markdown()
    assert record.command in records.markdown()
