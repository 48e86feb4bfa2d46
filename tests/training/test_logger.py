import builtins
import errno
import inspect
import os
import threading
import warnings

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from zoo.errors import DataError
from zoo.training import event_file
from zoo.training.logger import Logger, NullLogger
from zoo.training.run_folder import RunFolder


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", {"model": "vae"})


def events(run):
    everything = dict.fromkeys(("scalars", "histograms", "images", "tensors"), 0)
    return EventAccumulator(str(run.path), size_guidance=everything).Reload()


def curve(run, tag):
    return [(event.step, event.value) for event in events(run).Scalars(tag)]


def sessions(run):
    contents = events(run).summary_metadata.items()
    return {
        tag.rpartition("/")[2]: HParamsPluginData.FromString(metadata.plugin_data.content)
        for tag, metadata in contents
        if metadata.plugin_data.plugin_name == "hparams"
    }


# What is written


def test_scalars_go_to_tensorboard_metrics_and_console(run):
    lines = []
    with Logger(run, console=lines.append) as logger:
        logger.scalars(1, {"train/loss_nats": 19.5, "train/kl_nats": torch.tensor(3.25)})
        logger.scalars(2, {"train/loss_nats": torch.ones(1)})
    assert curve(run, "train/loss_nats") == [(1, 19.5), (2, 1.0)]
    assert curve(run, "train/kl_nats") == [(1, 3.25)]
    assert run.read_metrics() == [
        {"step": 1, "train/loss_nats": 19.5, "train/kl_nats": 3.25},
        {"step": 2, "train/loss_nats": 1.0},
    ]
    assert lines == ["step 1: train/loss_nats 19.5, train/kl_nats 3.25", "step 2: train/loss_nats 1"]


def test_scalars_that_are_not_finite(run):
    with Logger(run) as logger:
        logger.scalars(1, {"loss": float("nan"), "norm": torch.tensor(torch.inf)})
    assert run.read_metrics() == [{"step": 1, "loss": None, "norm": None}]
    assert [event.step for event in events(run).Scalars("loss")] == [1]


def test_histograms_hold_the_finite_elements(run):
    weight = torch.nn.Parameter(torch.linspace(-1, 1, 12).view(3, 2, 2))
    broken = torch.tensor([0.5, float("nan"), float("inf")])
    with Logger(run) as logger:
        logger.histograms(
            5, {"w": weight, "half": weight.bfloat16(), "broken": broken, "counts": torch.arange(3)}
        )
        logger.histograms(5, {"empty": torch.zeros(0), "nan": torch.full((2,), torch.nan)})
    found = events(run)
    assert sorted(found.Tags()["histograms"]) == ["broken", "counts", "half", "w"]
    (event,) = found.Histograms("w")
    assert (event.step, event.histogram_value.num) == (5, 12)
    assert (event.histogram_value.min, event.histogram_value.max) == (-1, 1)
    assert found.Histograms("broken")[0].histogram_value.num == 1


def test_images_are_a_grid(run):
    with Logger(run) as logger:
        logger.images(3, {"samples": torch.rand(5, 1, 8, 8)})
        logger.images(3, {"gaussian": torch.randn(2, 3, 64, 64).requires_grad_()})
    (event,) = events(run).Images("samples")
    assert event.step == 3
    assert (event.width, event.height) == (3 * 66 + 2, 2 * 66 + 2)
    assert event.encoded_image_string.startswith(b"\x89PNG")
    assert len(events(run).Images("gaussian")) == 1


def test_images_of_a_wrong_shape_are_a_mistake(run):
    with Logger(run) as logger, pytest.raises(DataError, match=r"\(N, C, H, W\)"):
        logger.images(3, {"samples": torch.rand(8, 8)})


def test_hparams_are_of_the_same_run(run):
    settings = {"model": "biva", "optimizer": {"lr": 1e-3, "betas": (0.9, 0.999)}, "ema": None, "amp": True}
    with Logger(run) as logger:
        logger.hparams(settings, ["test/loss_nats"])
        logger.scalars(1, {"test/loss_nats": 80.0})
    assert len(run.event_files) == 1
    found = sessions(run)
    (metric,) = found["experiment"].experiment.metric_infos
    assert metric.name.tag == "test/loss_nats"
    assert {info.name for info in found["experiment"].experiment.hparam_infos} == {
        "model", "optimizer.lr", "optimizer.betas", "ema", "amp"
    }  # fmt: skip
    hparams = found["session_start_info"].session_start_info.hparams
    assert hparams["model"].string_value == "biva"
    assert hparams["optimizer.lr"].number_value == 1e-3
    assert hparams["optimizer.betas"].string_value == "(0.9, 0.999)"
    assert hparams["ema"].string_value == "None"
    assert found["session_end_info"].session_end_info.status == 1  # STATUS_SUCCESS
    assert curve(run, "test/loss_nats") == [(1, 80.0)]


def test_several_curves_are_shown_in_one_chart(run):
    with Logger(run) as logger:
        logger.charts({"latents": {"KL": ["train/kl/.*"], "units": ("a", "b")}, "bound": {"ELBO": ["c"]}})
    (event,) = events(run).Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    assert [
        (category.title, chart.title, list(chart.multiline.tag))
        for category in layout.category
        for chart in category.chart
    ] == [("latents", "KL", ["train/kl/.*"]), ("latents", "units", ["a", "b"]), ("bound", "ELBO", ["c"])]


def test_run_that_failed_is_shown_without_success(run):
    logger = Logger(run)
    logger.hparams({"lr": 0.1})
    with pytest.raises(KeyError), logger:
        raise KeyError
    assert set(sessions(run)) == {"experiment", "session_start_info"}


# Resuming


def test_resumed_run_hides_what_it_trains_anew(run):
    for resumed in range(3):
        if resumed:
            run.truncate_metrics(4)
        with Logger(run, purge_step=5 if resumed else None) as logger:
            logger.hparams({"lr": 0.1}, ["loss"])
            for step in range(5 if resumed else 1, 9 - resumed):
                logger.scalars(step, {"loss": step + 100 * resumed})
                logger.images(step, {"samples": torch.zeros(1, 1, 2, 2)})
    expected = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 205), (6, 206)]
    assert curve(run, "loss") == expected
    assert [(m["step"], m["loss"]) for m in run.read_metrics()] == expected
    assert [event.step for event in events(run).Images("samples")] == [1, 2, 3, 4, 5, 6]
    assert len(run.event_files) == 3


def test_events_are_there_before_close(run):
    logger = Logger(run)
    logger.scalars(1, {"loss": 2.0})
    assert curve(run, "loss") == [(1, 2.0)]
    logger.flush()
    logger.close()


def test_half_a_record_of_a_killed_run_hides_nothing(run):
    with Logger(run) as logger:
        for step in (1, 2, 3):
            logger.scalars(step, {"loss": step})
    (file,) = run.event_files
    file.write_bytes(file.read_bytes()[:-5])
    with Logger(run, purge_step=2) as logger:
        logger.scalars(2, {"loss": 20.0})
    assert curve(run, "loss") == [(1, 1.0), (2, 20.0)]


def test_files_of_one_second_are_read_in_order(run, monkeypatch):
    pids = iter((900, 100, 500))  # the stock names would put 100 first
    monkeypatch.setattr(os, "getpid", lambda: next(pids))
    names = []
    for _ in range(3):
        event_file.EventFile(run.path).close()
        names += [file.name for file in run.event_files if file.name not in names]
    assert names == sorted(names)
    assert len(names) == 3


# Trouble


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_disk_at_the_start_is_warned_of_once(run, monkeypatch):
    full = builtins.open("/dev/full", "wb")  # noqa: SIM115 - the logger closes it
    monkeypatch.setattr(event_file, "open", lambda *args: full, raising=False)
    with pytest.warns(RuntimeWarning, match=r"TensorBoard.*No space left.*continues") as caught:
        logger = Logger(run)
    assert len(caught) == 1
    assert full.closed
    use_all(logger)
    assert [m["step"] for m in run.read_metrics()] == [1]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_disk_later_is_warned_of_once(run):
    logger = Logger(run)
    logger.scalars(0, {"loss": 1.0})
    with builtins.open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), logger._events._records._writer.fileno())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        use_all(logger)
        use_all(logger)
    assert [str(w.message).split(":")[0] for w in caught] == [
        f"could not write TensorBoard events in {run.path}"
    ]
    assert [m["step"] for m in run.read_metrics()] == [0, 1, 1]


def use_all(logger):
    with logger:
        logger.hparams({"lr": 0.1}, ["loss"])
        logger.scalars(1, {"loss": 1.0})
        logger.histograms(1, {"w": torch.ones(3)})
        logger.images(1, {"x": torch.ones(1, 1, 2, 2)})
        logger.flush()


def test_neither_can_be_written(run, monkeypatch):
    def refuse(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(event_file, "open", refuse, raising=False)
    run.metrics_file.mkdir()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logger = Logger(run)
        use_all(logger)
        use_all(logger)
    assert len(caught) == 2
    assert all("\n" not in str(w.message) for w in caught)
    assert run.event_files == []


def test_no_thread_is_left_or_started(run):
    before = threading.active_count()
    with Logger(run) as logger:
        logger.scalars(1, {"loss": 1.0})
        assert threading.active_count() == before


# No folder


def test_null_logger_writes_nothing_but_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = []
    use_all(NullLogger())
    use_all(NullLogger(console=lines.append))
    assert lines == ["step 1: loss 1"]
    assert not os.listdir(tmp_path)


def test_both_loggers_have_the_same_methods():
    for name in ("scalars", "histograms", "images", "hparams", "flush", "close"):
        ours, null = getattr(Logger, name), getattr(NullLogger, name)
        assert ours is not null
        assert inspect.signature(ours) == inspect.signature(null)
