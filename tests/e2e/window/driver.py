"""Runs inside a Blender with a window: a scenario that clicks on real buttons and waits for conditions, never for time.

A scenario is a generator: ``yield condition`` goes on when ``condition()`` is true, ``yield`` goes on after one beat.
Every condition has a deadline; passing it ends the scenario with a picture of the screen and the condition's source.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import bpy

TRIES, BEATS_TO_ANSWER, BEATS_TO_OPEN, SETTLING_BEATS = 5, 50, 10, 4
BEAT_SECONDS = 0.02
SWEEP_PIXELS = 14
"""Distance of the points at which buttons are looked for; a button is 20 pixels high."""
SWEEP_COLUMNS = (0.72, 0.25, 0.86)
"""Parts of the sidebar's width at which buttons are looked for: right and left half of a row, small ones at its end."""
TAB_PIXELS = 25
NEAR_PIXELS = 60
"""Places that are looked at together when a button is known to be near another one."""

Condition = Callable[[], bool]
Steps = Iterator["Condition | None"]


class Driver:
    """One window with the sidebar open at the GTR tab.

    Args:
        scenario: takes this driver, yields conditions.
        out: folder for pictures and the report.
        deadline: seconds that each condition may take.
    """

    def __init__(self, scenario: Callable[[Driver], Steps], out: Path, deadline: float = 600.0) -> None:
        self.out = out
        self.facts: dict[str, object] = {}
        self._deadline = deadline
        self._steps = self._whole(scenario)
        self._condition: Condition | None = None
        self._places: dict[str, tuple[int, int]] = {}
        self._since = time.monotonic()
        bpy.app.timers.register(self._beat, first_interval=0.2, persistent=True)

    # --- where things are -------------------------------------------------------------------------------------------

    @property
    def window(self) -> bpy.types.Window:
        """The first window."""
        return bpy.context.window_manager.windows[0]

    @property
    def area(self) -> bpy.types.Area:
        """The 3D view."""
        return next(area for area in self.window.screen.areas if area.type == "VIEW_3D")

    def region(self, kind: str) -> bpy.types.Region:
        """A region of the 3D view: WINDOW, UI ..."""
        return next(region for region in self.area.regions if region.type == kind)

    # --- hands ------------------------------------------------------------------------------------------------------

    def move(self, x: int, y: int) -> None:
        """Move the mouse to window coordinates."""
        self.window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)

    def click(self, x: int, y: int, button: str = "LEFTMOUSE") -> Steps:
        """Press and release a mouse button."""
        self.move(x, y)
        yield None
        self.window.event_simulate(type=button, value="PRESS", x=x, y=y)
        yield None
        self.window.event_simulate(type=button, value="RELEASE", x=x, y=y)
        yield None

    def key(self, kind: str, **modifiers: bool) -> Steps:
        """Press and release a key with the mouse over the middle of the 3D view."""
        x, y = self.middle()
        self.move(x, y)
        yield None
        self.window.event_simulate(type=kind, value="PRESS", x=x, y=y, **modifiers)
        yield None
        self.window.event_simulate(type=kind, value="RELEASE", x=x, y=y, **modifiers)
        yield None

    def middle(self) -> tuple[int, int]:
        """Middle of the 3D view in window coordinates."""
        region = self.region("WINDOW")
        return region.x + region.width // 3, region.y + region.height // 2

    def press(self, name: str, near: str = "", until: Condition | None = None) -> Steps:
        """Click on the button of an operator (``gtr.reconstruct``) or of a property (``.gtr.compare``).

        ``near`` names a button that was pressed before and is not far from this one: it is looked for there first.
        ``until`` tells that the click was taken. Blender drops a click when the sidebar is drawn anew just then, as it
        is while a job runs; so, like a person, click again.
        """
        for _ in range(TRIES):
            found: list[tuple[int, int]] = []
            yield from self.find(name, found, near or name)
            yield from self.click(*found[0])
            self.move(*self.middle())
            yield None
            for _ in range(BEATS_TO_ANSWER):
                if until is None or until():
                    return
                yield None
        raise AssertionError(f"{name} did not answer {TRIES} clicks")

    def find(self, name: str, found: list[tuple[int, int]], near: str = "") -> Steps:
        """Look all over the sidebar until the button under the mouse is the wanted one."""
        region = self.region("UI")
        wanted = f"]{name}" if name.startswith(".") else f"bpy.ops.{name}("
        seen: list[str] = []
        rows = list(range(region.y + region.height - 4, region.y + 4, -SWEEP_PIXELS))
        points = [(region.x + int(region.width * part), y) for part in SWEEP_COLUMNS for y in rows]
        if near in self._places:
            points.sort(key=lambda point: abs(point[1] - self._places[near][1]) // NEAR_PIXELS)
        before = points[0]
        for point in points:
            self.move(*point)
            yield None
            under = self._under_mouse()
            if wanted in under:
                # On a busy machine the highlight comes a beat late: it may belong to the point before.
                for candidate in (point, before):
                    if (yield from self._lies_under(candidate, wanted)):
                        found.append(candidate)
                        self._places[name] = candidate
                        return
            before = point
            seen.extend(word for word in under.split("\n") if word and word not in seen)
        raise AssertionError(f"no button {name!r} in the sidebar; there are {seen}")

    def _lies_under(self, point: tuple[int, int], wanted: str) -> Generator[Condition | None, None, bool]:
        """Whether the wanted button stays under the mouse at this point."""
        self.move(*point)
        for _ in range(SETTLING_BEATS):
            yield None
        return wanted in self._under_mouse()

    def _under_mouse(self) -> str:
        manager = bpy.context.window_manager
        words = []
        with bpy.context.temp_override(window=self.window, area=self.area, region=self.region("UI")):
            for copy in (
                lambda: bpy.ops.ui.copy_python_command_button(),
                lambda: bpy.ops.ui.copy_data_path_button(full_path=True),
            ):
                manager.clipboard = ""
                try:
                    copy()
                except RuntimeError:
                    continue
                words.append(manager.clipboard)
        return "\n".join(words)

    # --- the server -------------------------------------------------------------------------------------------------

    def hold(self, stage: str) -> None:
        """Jobs that begin this stage from now on wait in it until they are cancelled or let go."""
        Path(os.environ["GTR_FAULT_RELEASE"]).unlink(missing_ok=True)
        self._faults().write_text(f"hold@{stage}")

    def let_go(self) -> None:
        """Jobs that wait go on, and no other one is held."""
        self._faults().write_text("")
        Path(os.environ["GTR_FAULT_RELEASE"]).touch()

    def _faults(self) -> Path:
        return Path(os.environ["GTR_FAULT"].removeprefix("file:"))

    # --- eyes -------------------------------------------------------------------------------------------------------

    def picture(self, name: str) -> Steps:
        """Save what the window shows, after it was drawn anew."""
        for area in self.window.screen.areas:
            area.tag_redraw()
        yield None
        yield None
        path = self.out / f"{name}.png"
        with bpy.context.temp_override(window=self.window, screen=self.window.screen, area=self.area):
            bpy.ops.screen.screenshot(filepath=str(path))
        yield path.exists

    def pixels(self, name: str) -> list[tuple[int, int, int]]:
        """Every third pixel of a saved picture in each direction, as sRGB bytes."""
        image = bpy.data.images.load(str(self.out / f"{name}.png"))
        width, height = image.size
        values = list(image.pixels)
        bpy.data.images.remove(image)
        return [
            tuple(round(255 * value) for value in values[4 * (y * width + x) : 4 * (y * width + x) + 3])
            for y in range(0, height, 3)
            for x in range(0, width, 3)
        ]

    def drawn(self) -> Steps:
        """Draw the sidebar anew and wait until that has happened."""
        seen: list[bool] = []

        def notice(_panel: object, _context: object) -> None:
            seen.append(True)

        bpy.types.GTR_PT_server.append(notice)
        self.region("UI").tag_redraw()
        yield lambda: bool(seen)
        bpy.types.GTR_PT_server.remove(notice)

    def check(self, condition: bool, message: str) -> None:
        """Fail the scenario with a sentence."""
        if not condition:
            raise AssertionError(message)

    # --- the beat ---------------------------------------------------------------------------------------------------

    def _whole(self, scenario: Callable[[Driver], Steps]) -> Steps:
        yield from self._open_tab()
        yield from scenario(self)

    def _open_tab(self) -> Steps:
        drawn: list[bool] = []

        def notice(_panel: object, _context: object) -> None:
            drawn.append(True)

        with bpy.context.temp_override(window=self.window, area=self.area, region=self.region("WINDOW")):
            bpy.ops.screen.screen_full_area(use_hide_panels=False)
        yield None
        self.area.spaces.active.show_region_ui = True
        yield lambda: self.region("UI").width > 100
        bpy.types.GTR_PT_server.append(notice)
        region = self.region("UI")
        x = region.x + region.width - 10
        for y in range(region.y + region.height - 20, region.y, -TAB_PIXELS):
            yield from self.click(x, y)
            drawn.clear()
            region.tag_redraw()
            # On a busy machine the tab opens some beats after the click; the next click would close it again.
            for _ in range(BEATS_TO_OPEN):
                if drawn:
                    break
                yield None
            if drawn:
                break
        self.check(bool(drawn), "no tab of the sidebar shows GTR's panels")
        bpy.types.GTR_PT_server.remove(notice)
        self.move(*self.middle())
        yield None

    def _beat(self) -> float | None:
        try:
            if self._condition is not None and not self._condition():
                if time.monotonic() - self._since < self._deadline:
                    return BEAT_SECONDS
                source = inspect.getsource(self._condition) if hasattr(self._condition, "__code__") else "a condition"
                raise AssertionError(f"not within {self._deadline:.0f} s: {source.strip()}")
            self._condition = next(self._steps)
            self._since = time.monotonic()
        except StopIteration:
            return self._end(None)
        except BaseException:
            return self._end(traceback.format_exc())
        return BEAT_SECONDS

    def _end(self, error: str | None) -> None:
        if error is not None:
            with bpy.context.temp_override(window=self.window, screen=self.window.screen, area=self.area):
                bpy.ops.screen.screenshot(filepath=str(self.out / "failure.png"))
            self.facts["session"] = _session_in_words()
        report = {"error": error, "facts": self.facts}
        (self.out / "report.json").write_text(json.dumps(report, indent=1, default=str), encoding="utf-8")
        bpy.ops.wm.quit_blender()


def _session_in_words() -> str:
    from gtr.run.session import session

    run = session.run
    doing = f"{run.kind}, stage {run.stage!r}, {run.text!r}, {run.elapsed:.0f} s" if run else "nothing"
    return f"{session.state}; server {session.server.state}; runs {doing}; error {session.error}"


def main(scenarios: dict[str, Callable[[Driver], Steps]]) -> None:
    """Run the scenario that the command line names: ``-- NAME OUT_FOLDER``."""
    name, out = sys.argv[sys.argv.index("--") + 1 :][:2]
    bpy.context.preferences.view.show_splash = False
    # Every redraw of the 3D view is computed by the processor here.
    bpy.context.preferences.system.viewport_aa = "OFF"
    bpy.ops.preferences.addon_enable(module="gtr")
    Driver(scenarios[name], Path(out))
