"""The columns of the tables: which figures, how they are called, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gtr_core.evaluation.scores import Row


@dataclass(frozen=True)
class Column:
    """One figure in the tables.

    Args:
        key: field of :class:`gtr_core.evaluation.scores.Row`.
        title: heading, without the arrow.
        better: which way is better; "" when neither is.
        decimals: shown digits after the point.
        hint: what the figure is, for people who meet it for the first time.
        paper: whether it is a column of the paper's Tables 1 and 2.
    """

    key: str
    title: str
    better: Literal["up", "down", ""]
    decimals: int
    hint: str
    paper: bool = False

    @property
    def heading(self) -> str:
        """Title with the arrow of its direction."""
        return self.title + {"up": " ↑", "down": " ↓", "": ""}[self.better]

    def value(self, row: Row) -> float | None:
        """The figure of a row; None when it has none."""
        figure: float | None = getattr(row, self.key)
        return figure

    def text(self, value: float | None) -> str:
        """The figure as the tables show it; a dash for a missing one."""
        return "–" if value is None else f"{value:.{self.decimals}f}"


COLUMNS = (
    Column("psnr", "PSNR", "up", 2, "Peak signal-to-noise ratio of the novel views, dB", paper=True),
    Column("ssim", "SSIM", "up", 4, "Structural similarity of the novel views, at most 1", paper=True),
    Column("lpips", "LPIPS", "down", 4, "Learned perceptual distance of the novel views", paper=True),
    Column("cd", "CD", "down", 4, "Chamfer distance of the surfaces, times 100", paper=True),
    Column("iou", "IoU", "up", 4, "Intersection over union of the shapes, at most 1", paper=True),
    Column("f_score", "F-score", "up", 1, "F-score of the surfaces, percent"),
    Column("mask_iou", "Mask IoU", "up", 4, "Intersection over union of the outlines in the novel views, at most 1"),
    Column("see_through", "See-through", "down", 2, "Share of the true surface that one can see through, percent"),
    Column("normal_angle", "Normals", "down", 1, "Angle between the normals in the novel views, degrees"),
    Column("seconds", "Time (s)", "", 1, "Seconds from the input views to the result"),
)
"""In the order of the tables: the paper's first."""

SIZES = (
    Column("faces", "Faces", "", 0, "Triangles of the mesh"),
    Column("cpu_seconds", "CPU (s)", "", 1, "Processor seconds from the input views to the result"),
)
"""Columns of the rows only."""
