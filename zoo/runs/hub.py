"""Weights on the Hugging Face hub: a repository with one weights file and its card, ``hub:owner/name``.

``pip install pyro-generative-zoo[hub]``. Who is asked, and as whom, is `huggingface_hub`'s business:
``HF_ENDPOINT``, ``HF_TOKEN``, ``hf auth login``.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.errors import UsageError, ZooError, one_line
from zoo.experiments.pretrained import FILE, HUB

NAME = re.compile(r"[\w.-]+/[\w.-]+(@[^@\s]+)?", re.ASCII)  # OWNER/NAME, maybe of a revision


def fetched(name: str) -> Path:
    """The weights file of a repository, downloaded or from the hub's cache.

    Args:
        name: ``hub:owner/name``, maybe with ``@revision``.

    Raises:
        UsageError: if that is no such name, or huggingface_hub is not installed.
        ZooError: if there is no such file, or the hub does not answer.
    """
    repository, _, revision = _checked(name).partition("@")
    hub = _library()
    with _in_one_line(f"fetch {FILE} of {repository}"):
        return Path(hub.hf_hub_download(repository, FILE, revision=revision or None, endpoint=_endpoint()))


def pushed(folder: Path, name: str) -> str:
    """Push the files of a folder to a repository, which is made if need be; returns its address.

    Raises:
        UsageError: if that is no such name, or huggingface_hub is not installed.
        ZooError: if the hub refuses or does not answer.
    """
    repository = _checked(name)
    hub = _library()
    api = hub.HfApi(endpoint=_endpoint())
    with _in_one_line(f"push to {repository}"):
        address = api.create_repo(repository, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Weights and their card")
        return str(address)


def _checked(name: str) -> str:
    """What follows ``hub:``.

    Raises:
        UsageError: if it is no name of a repository.
    """
    repository = name.removeprefix(HUB)
    if not NAME.fullmatch(repository):
        raise UsageError(f"expected {HUB}OWNER/NAME; got {name!r}")
    return repository


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise UsageError(
            "the hub needs huggingface_hub: pip install 'pyro-generative-zoo[hub]', or name a file"
        ) from None
    huggingface_hub.logging.set_verbosity_error()  # its retries are lines of their own
    return huggingface_hub


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT")


@contextmanager
def _in_one_line(what: str) -> Iterator[None]:
    """Say in a line what the hub's library raises, which depends on its version and on that of its client.

    Raises:
        ZooError: in place of that.
    """
    try:
        yield
    except Exception as error:
        raise ZooError(
            f"could not {what}: {one_line(error)[:200]}; check the name, the network and the token (hf auth "
            "login)"
        ) from error
