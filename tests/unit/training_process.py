"""One process of a training for the tests of several: balls, a few steps, the weights to a file.

Arguments: folder, steps, batch, the step after which rank 1 ends without a word the first time (0: never), and whether
the weights are sharded (0 or 1); where they are, memory is saved in the other ways too, as in the paper's recipe.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_training import nerf_recipe, small_trainer

from gtr_core.training.distributed import joined_world
from gtr_core.training.loop import Rhythm, run_training


def train(folder: Path, steps: int, batch: int, dies_after: int = 0, sharded: int = 0) -> None:
    torch.set_num_threads(1)
    with joined_world("cpu", sharded=bool(sharded)) as world:
        recipe = nerf_recipe(steps=6, batch=batch)
        if sharded:
            recipe = replace(recipe, parts=2, recompute=True)
        trainer = small_trainer(recipe, world=world)

        def after_step() -> bool:
            died = folder / "died"
            if dies_after and world.rank == 1 and trainer.step == dies_after and not died.exists():
                died.touch()
                os._exit(17)
            return trainer.step >= steps

        run_training(trainer, folder, rhythm=Rhythm(log_steps=1, checkpoint_seconds=0), should_stop=after_step)
        weights = trainer.state()["model"]
        if world.is_first:
            torch.save(weights, folder / "weights.pt")
            print(f"trained with {world.size}")
        print(f"rank {world.rank} holds {sum(local(value).numel() for value in trainer.average.weights.values())}")


def local(value: torch.Tensor) -> torch.Tensor:
    """What this process has of a tensor."""
    return value.to_local() if isinstance(value, DTensor) else value


if __name__ == "__main__":
    train(Path(sys.argv[1]), *(int(value) for value in sys.argv[2:6]))
