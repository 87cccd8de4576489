"""TensorBoard gets the curves and the pictures of a run; without its package there is the CSV file alone."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ball_source import BallSource
from PIL import Image
from small_training import nerf_recipe, small_trainer

from gtr_core.training.log import COLUMNS, read_log
from gtr_core.training.loop import PICTURES, Rhythm, run_training
from gtr_core.training.validation import Validation

STEPS = 3


def train(folder: Path, *, until: int = STEPS) -> None:
    """A run, or a part of one, with a row per step and a picture at the start and at the end."""
    trainer = small_trainer(nerf_recipe(steps=STEPS, batch=2))
    validation = Validation.of(BallSource(), trainer.recipe.phases[-1].request, "nerf", objects=1)
    run_training(
        trainer,
        folder,
        validation=validation,
        rhythm=Rhythm(log_steps=1),
        should_stop=lambda: trainer.step >= until,
    )


def test_curves_and_pictures_arrive(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(tmp_path, until=2)
    train(tmp_path)  # goes on: into the same curves
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    expected: dict[str, list[tuple[int, float]]] = {}
    for row in read_log(tmp_path):
        for name, value in row.items():
            expected.setdefault(name, []).append((int(row["step"]), value))
    assert {"loss", "validation_psnr", "learning_rate", "rgb"} <= expected.keys() <= set(COLUMNS)
    assert set(events.Tags()["scalars"]) == expected.keys()
    for name, curve in expected.items():
        told = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in told] == [step for step, _ in curve]
        assert [value for _, value in told] == pytest.approx([value for _, value in curve], rel=1e-6)
    assert events.Tags()["images"] == ["pictures"]
    shown = events.Images("pictures")
    assert [event.step for event in shown] == [0, STEPS]
    for event in shown:
        picture = Image.open(io.BytesIO(event.encoded_image_string))
        written = Image.open(tmp_path / PICTURES / f"{event.step:08d}.png")
        assert np.array_equal(np.asarray(picture), np.asarray(written))


def test_without_the_package_there_is_the_file_alone(tmp_path: Path) -> None:
    code = "import sys; sys.modules['tensorboard'] = None  # as if it were not installed\n"
    code += "from pathlib import Path; import test_training_tensorboard as run; run.train(Path(sys.argv[1]))"
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    command = [sys.executable, "-W", "error", "-c", f"import sys; sys.path[:0] = {paths}; {code}", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [row["step"] for row in read_log(tmp_path)] == [0, *range(1, STEPS + 1), STEPS]
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv", "checkpoints", PICTURES}
