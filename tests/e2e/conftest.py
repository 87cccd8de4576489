"""A real browser for the tests of the pages that we write."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MINUTE = 60_000
"""Milliseconds after which a condition counts as never met."""
SOFTWARE_GL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")


@pytest.fixture(scope="module")  # while it runs, its event loop is in the way of everybody else's
def chromium() -> Iterator["Browser"]:
    """Debian's Chromium without a window, drawing in 3D by software."""
    from playwright.sync_api import expect, sync_playwright

    program = shutil.which("chromium")
    if program is None and os.environ.get("GTR_REQUIRE_CHROMIUM"):
        pytest.fail("chromium is missing")
    if program is None:
        pytest.skip("chromium is missing: no page is opened in a browser")
    expect.set_options(timeout=MINUTE)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(SOFTWARE_GL), timeout=MINUTE)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report_folder(tmp_path_factory) -> Path:
    """A finished report with failures and a hostile name."""
    from report_sample import write_sample

    from gtr_core.evaluation.report_build import build_report

    folder = tmp_path_factory.mktemp("browser") / "report"
    write_sample(folder, size=64)
    build_report(folder)
    return folder


@pytest.fixture
def open_report(chromium) -> Iterator[Callable[..., "Page"]]:
    """Opens the page of a report folder as a file without a network.

    In the end nothing on the page has complained, and it has asked for nothing outside itself.
    """
    complaints: list[str] = []
    asked: set[str] = set()
    contexts = []

    def opened(folder: Path, **settings) -> "Page":
        contexts.append(
            chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, "offline": True, **settings})
        )
        contexts[-1].set_default_timeout(MINUTE)
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.add(request.url.split(":", 1)[0]))
        page.goto((folder / "report.html").as_uri())
        page.wait_for_selector("html[data-ready=true]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert asked <= {"file", "blob"}


@pytest.fixture
def report_page(open_report, report_folder) -> "Page":
    """The finished report, opened."""
    return open_report(report_folder)
