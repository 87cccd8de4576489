"""``gtr train`` on balls, as one of the processes that torchrun starts; takes the command's own arguments."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ball_source import BallSource

from gtr_core.cli import train
from gtr_core.cli.main import main


def train_on_balls(*arguments: str) -> int:
    torch.set_num_threads(1)
    train._source = lambda options: BallSource()
    return main(["train", *arguments])


if __name__ == "__main__":
    sys.exit(train_on_balls(*sys.argv[1:]))
