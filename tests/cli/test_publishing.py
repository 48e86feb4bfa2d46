"""`zoo publish`: to a folder, and to a hub, which is played by a server on this machine's loopback."""

import base64
import hashlib
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
import torch

import zoo as library
from zoo.errors import UsageError, ZooError
from zoo.runs.run import Run

COMMIT = "0" * 40
NAME = "someone/small-vae"


@pytest.fixture
def published(zoo, trained, tmp_path):
    folder = tmp_path / "published"
    outcome = zoo("publish", trained, "--to", folder, "--dtype", "bfloat16")
    assert outcome.code == 0, outcome.err
    assert str(folder) in outcome.out
    return folder


def test_a_folder_holds_the_weights_and_a_card_with_figures_and_command(published, trained):
    assert {path.name for path in published.iterdir()} == {"README.md", "model.safetensors"}
    record, card = Run.open(trained).record, (published / "README.md").read_text()
    for said in (
        record.command,
        record.date,
        record.protocol,
        *map(str, record.elbo),
        f"zoo sample {published}",
    ):
        assert said in card


def test_a_published_folder_is_a_run(zoo, published, tmp_path):
    assert zoo("sample", published, "-n", 4, "--out", tmp_path / "s.png").code == 0
    assert library.load(published).experiment.name == "vae_digits"


def test_a_folder_with_files_is_left(zoo, trained, published):
    before = {path.name: path.read_bytes() for path in published.iterdir()}
    outcome = zoo("publish", trained, "--to", published)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert {path.name: path.read_bytes() for path in published.iterdir()} == before


def test_without_the_hubs_library_the_cure_is_named(zoo, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    outcome = zoo("sample", f"hub:{NAME}")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "pyro-generative-zoo[hub]" in outcome.err


# The hub


class Hub(BaseHTTPRequestHandler):
    """As much of the Hugging Face hub as a repository of small files needs."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_POST(self):
        path = urlsplit(self.path).path
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if path == "/api/repos/create":
            self.answer({"url": f"http://{self.headers['Host']}/{NAME}"})
        elif path == "/api/validate-yaml":  # of the card
            self.answer({"errors": [], "warnings": []})
        elif path.endswith("/preupload/main"):
            asked = json.loads(text)["files"]
            self.answer(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked
                    ]
                }
            )
        elif path.endswith("/commit/main"):
            for line in map(json.loads, text.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer(
                {
                    "commitUrl": f"http://{self.headers['Host']}/{NAME}/commit/{COMMIT}",
                    "commitOid": COMMIT,
                    "success": True,
                }
            )
        else:
            self.answer({"error": "unknown"}, 404)

    def do_GET(self):
        found = re.fullmatch(rf"/{NAME}/resolve/(?:main|{COMMIT})/(.+)", urlsplit(self.path).path)
        content = self.files.get(found.group(1)) if found else None
        if content is None:
            self.answer({"error": "unknown"}, 404)
        else:
            self.answer(content)

    def do_HEAD(self):
        self.do_GET()

    def answer(self, value, status=200):
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The files on a hub that runs while a test does; the library's cache and token are the test's too."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(Hub, "files", {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "a-token")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield Hub.files
    server.shutdown()
    server.server_close()


def test_what_is_pushed_to_a_hub_is_pulled_from_it(hub, zoo, trained, tmp_path):
    outcome = zoo("publish", trained, "--to", f"hub:{NAME}")
    assert outcome.code == 0, outcome.err
    assert set(hub) == {"README.md", "model.safetensors"}
    assert f"zoo sample hub:{NAME}" in hub["README.md"].decode()
    system, own = library.load(f"hub:{NAME}"), library.load(trained)
    assert all(map(torch.equal, system.parameters(), own.parameters()))
    assert zoo("sample", f"hub:{NAME}", "-n", 4, "--out", tmp_path / "s.png").code == 0


def test_damaged_weights_of_a_hub_are_refused(hub, trained, tmp_path):
    whole = Run.open(trained).export(tmp_path / "w.safetensors").read_bytes()
    hub["model.safetensors"] = whole[:-1] + bytes([whole[-1] ^ 1])
    with pytest.raises(ZooError, match="damaged"):
        library.load(f"hub:{NAME}")


def test_an_unknown_repository_is_one_line(hub, zoo):
    outcome = zoo("sample", f"hub:{NAME}")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1), outcome.err
    assert "check the name" in outcome.err


@pytest.mark.parametrize("name", ["hub:no such name", "hub:", "hub:owner"])
def test_what_is_no_name_of_a_repository_is_found_out_without_the_hub(name, zoo):
    outcome = zoo("sample", name)
    assert (outcome.code, outcome.err) == (2, f"zoo: expected hub:OWNER/NAME; got {name!r}\n")


def test_a_run_without_figures_has_no_card(trained, tmp_path, monkeypatch):
    run = Run.open(trained)
    monkeypatch.setattr(Run, "record", None)
    from zoo.runs.publishing import publish

    with pytest.raises(UsageError, match="figures"):
        publish(run, str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
