"""The command line in several processes."""

import socket

import pytest

from tests.training import runs


@pytest.fixture
def start():
    """Start the command line in two processes, as torchrun does."""

    def run(*arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        group["TORCHELASTIC_RUN_ID"] = "none"
        commands = [
            runs.Command(*arguments, **group, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in (0, 1)
        ]
        started.extend(commands)
        return commands

    started = []
    yield run
    for command in started:
        command.kill()


@pytest.fixture
def torchrun(start):
    """Run the command line in two processes to its end."""
    return lambda *arguments: [command.end() for command in start(*arguments)]
