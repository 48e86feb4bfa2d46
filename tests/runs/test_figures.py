"""Files of figures."""

import errno
import json
import os

import pytest

from zoo.errors import UsageError
from zoo.runs.figures import write_json

FIGURES = {"log_likelihood": -3.0}


def test_a_full_disk_leaves_the_figures_of_before(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_json(tmp_path / "old.json", FIGURES)
    monkeypatch.setattr(os, "fsync", full)
    for name in ("old.json", "new.json"):
        with pytest.raises(UsageError, match="No space left"):
            write_json(tmp_path / name, {"log_likelihood": -2.0})
    assert os.listdir(tmp_path) == ["old.json"]
    assert json.loads((tmp_path / "old.json").read_text()) == FIGURES


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no /dev/null")
def test_what_is_no_file_is_written_to():
    write_json("/dev/null", FIGURES)
    assert not os.path.isfile("/dev/null")
