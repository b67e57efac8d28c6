"""Training in two processes on the CPU, as torchrun starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.paths import TESTS
from nucleus_unet.errors import SettingsError
from nucleus_unet.training.distributed import ProcessGroup, join_process_group
from safetensors.torch import load_file

# One launch does for all that is looked at: a run, and another that goes on from a checkpoint of the first.
SCRIPT = """
import shutil, sys
from pathlib import Path
from safetensors.torch import save_file
from helpers.training import FIELDS, TINY
from nucleus_unet.training.distributed import join_process_group
from nucleus_unet.training.trainer import CHECKPOINT, train

folder, processes = Path(sys.argv[1]), join_process_group("cpu")

def keep_checkpoint(run):
    if run.position == 16:
        (folder / "resumed").mkdir()
        shutil.copy(folder / "whole" / CHECKPOINT, folder / "resumed")

for run, report in (("whole", keep_checkpoint), ("resumed", lambda run: None)):
    processes.fabric.barrier()
    network = train(TINY, FIELDS, folder / run, device="cpu", workers=0, report=report)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / f"{run}-{processes.rank}.safetensors")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
    }
    result = subprocess.run(
        [*command, folder / "script.py", folder], capture_output=True, text=True, timeout=600, env=environment
    )
    assert result.returncode == 0, result.stderr
    return folder


def test_both_processes_end_with_the_same_weights(trained: Path) -> None:
    first, second = (load_file(trained / f"whole-{rank}.safetensors") for rank in (0, 1))
    for name, tensor in first.items():
        # Batch normalisation counts what a process has seen itself; only the first's counts are kept.
        if "running" not in name:
            torch.testing.assert_close(tensor, second[name], rtol=0, atol=0)


def test_a_run_of_two_processes_goes_on_to_the_very_same_weights(trained: Path) -> None:
    whole, resumed = (load_file(trained / f"{name}-0.safetensors") for name in ("whole", "resumed"))
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


def test_the_processes_see_each_sample_of_a_batch_once() -> None:
    batch = list(range(12))
    shares = [batch[ProcessGroup(torch.device("cpu"), rank, 4).batch_slice(12)] for rank in range(4)]
    assert [number for share in shares for number in share] == batch
    assert {len(share) for share in shares} == {3}


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(SettingsError, match="multiple of the 3 processes, got 8"):
        ProcessGroup(torch.device("cpu"), 0, 3).batch_slice(8)


def test_a_process_alone_joins_nobody() -> None:
    assert join_process_group("cpu") == ProcessGroup(torch.device("cpu"))
