"""One process of a training for the tests of several: balls, a few steps, the weights to a file.

Arguments: folder, steps, batch, and the step after which rank 1 ends without a word the first time (0: never).
"""

import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_training import nerf_recipe, small_trainer

from gtr_core.training.distributed import joined_world
from gtr_core.training.loop import Rhythm, run_training


def train(folder: Path, steps: int, batch: int, dies_after: int) -> None:
    torch.set_num_threads(1)
    with joined_world("cpu") as world:
        trainer = small_trainer(nerf_recipe(steps=6, batch=batch), world=world)

        def after_step() -> bool:
            died = folder / "died"
            if dies_after and world.rank == 1 and trainer.step == dies_after and not died.exists():
                died.touch()
                os._exit(17)
            return trainer.step >= steps

        run_training(trainer, folder, rhythm=Rhythm(log_steps=1, checkpoint_seconds=0), should_stop=after_step)
        if world.is_first:
            torch.save(trainer.model.state_dict(), folder / "weights.pt")
            print(f"trained with {world.size}")


if __name__ == "__main__":
    train(Path(sys.argv[1]), *(int(value) for value in sys.argv[2:5]))
