"""docs/model.md says what is there: every file of the network is named, and its examples run."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")


def test_every_file_of_the_network_is_named_and_every_named_file_is_there() -> None:
    named = set(re.findall(r"`([a-z_/]+\.py)`", TEXT))
    there = {path.name for path in (ROOT / "gtr_core" / "model").glob("*.py")} - {"__init__.py"}
    assert there <= named
    places = (ROOT, ROOT / "gtr_core", ROOT / "gtr_core" / "model", ROOT / "gtr_core" / "fields")
    assert [name for name in sorted(named) if not any((place / name).is_file() for place in places)] == []


def test_numbers_of_the_presets_are_those_of_the_networks() -> None:
    import torch

    from gtr_core.model.configs import CONFIGS
    from gtr_core.model.gtr import GTR

    names, counts = (
        [cell.strip() for cell in re.findall(rf"^{start}(.*) \|$", TEXT, re.MULTILINE)[0].split("|")]
        for start in (r"\| \| (?=`gtr)", r"\| numbers \|")
    )
    with torch.device("meta"):
        sizes = {name: sum(p.numel() for p in GTR(config).parameters()) for name, config in CONFIGS.items()}
    assert {n.strip("`"): int(c.replace(" ", "")) for n, c in zip(names, counts, strict=True)} == sizes


def test_the_examples_run() -> None:
    examples = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert examples
    for example in examples:
        exec(compile(example, "docs/model.md", "exec"), {})
