"""The bar in a terminal and the lines elsewhere."""

import io

import pytest

from gtr_core.cli.progress_bar import WORDS, ProgressBar
from gtr_core.progress import STAGES, Cancelled


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def bar_on(stream: io.StringIO) -> tuple[ProgressBar, Clock]:
    clock = Clock()
    return ProgressBar(lambda: None, stream=stream, clock=clock), clock


def test_every_stage_has_words() -> None:
    assert set(STAGES) <= set(WORDS)


def test_plain_lines_one_per_stage() -> None:
    stream = io.StringIO()
    bar, clock = bar_on(stream)
    for done in range(5):
        bar("fuse", done, 4)
        clock.now += 0.5
    bar("extract", 0, 1)
    clock.now += 1
    bar("extract", 1, 1)
    bar.close()
    assert stream.getvalue() == "Fusing views: 4/4, 2.5 s\nExtracting mesh: 1/1, 1.0 s\n"
    assert bar.seconds == {"fuse": 2.5, "extract": 1.0}


def test_terminal_bar_grows_in_place() -> None:
    stream = Terminal()
    bar, clock = bar_on(stream)
    for done in range(5):
        bar("texture", done, 4)
        clock.now += 2
    bar.close()
    text = stream.getvalue()
    assert text.count("\n") == 1
    drawn = [line.count("█") for line in text.split("\r")[1:]]
    assert drawn == [0, 8, 15, 22, 30, 30]
    assert "2/4  0:04, 4 s left" in text
    assert "4/4  0:10" in text.splitlines()[-1]


def test_terminal_is_not_flooded() -> None:
    stream = Terminal()
    bar, clock = bar_on(stream)
    for done in range(1000):
        bar("texture", done, 1000)
        clock.now += 0.001
    assert stream.getvalue().count("\r") <= 12


def test_a_stage_without_steps_is_complete() -> None:
    stream = Terminal()
    bar, _ = bar_on(stream)
    bar("hull", 0, 0)
    assert "█" * 30 in stream.getvalue()


def test_the_wish_to_stop_comes_through() -> None:
    def stop() -> None:
        raise Cancelled

    bar = ProgressBar(stop, stream=io.StringIO())
    with pytest.raises(Cancelled):
        bar("fuse", 0, 4)


def test_closing_twice_writes_once() -> None:
    stream = io.StringIO()
    bar, _ = bar_on(stream)
    bar("fuse", 1, 1)
    bar.close()
    bar.close()
    assert stream.getvalue().count("\n") == 1


def test_finishing_does_not_ask_whether_to_stop() -> None:
    asked = []
    stream = io.StringIO()
    bar = ProgressBar(lambda: asked.append(1), stream=stream)
    bar("save", 0, 1)
    bar.finish()
    assert len(asked) == 1
    assert "Writing files: 1/1" in stream.getvalue()
