"""Files of LPIPS weights: the published layouts are read, anything else is refused in one sentence."""

import importlib.machinery
import pickle

import pytest
import torch
from fake_lpips import fake_weights, split, write_fake_weights

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.metrics import lpips_files
from gtr_core.metrics.lpips import Lpips
from gtr_core.metrics.lpips_backbones import BACKBONES
from gtr_core.metrics.lpips_files import SCALE, SHIFT, find_weights, read_weights, weight_shapes

NET = "squeeze"


@pytest.fixture
def tensors():
    return fake_weights(NET)


@pytest.fixture
def write(tmp_path):
    def to_file(values, name="weights.pth"):
        torch.save(values, tmp_path / name)
        return tmp_path / name

    return to_file


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def as_module(tensors, slices, prefix=""):
    """As lpips and torchmetrics name the tensors of their modules: backbone in slices, linear layers twice."""
    result = {f"{prefix}scaling_layer.shift": torch.tensor(SHIFT)[None, :, None, None]}
    result[f"{prefix}scaling_layer.scale"] = torch.tensor(SCALE)[None, :, None, None]
    for name, value in tensors.items():
        layer = name.removeprefix("features.")
        result[f"{prefix}{name}" if name.startswith("lin") else f"{prefix}net.{slices}.{layer}"] = value
    linear = split(tensors)[1]
    return result | {f"{prefix}lins.{index}.model.1.weight": value for index, value in enumerate(linear.values())}


def test_two_files_as_torchvision_and_lpips_publish_them(tensors, write):
    backbone, linear = split(tensors)
    classifier = {"classifier.1.weight": torch.zeros(1000, 512, 1, 1), "classifier.1.bias": torch.zeros(1000)}
    paths = write(backbone | classifier, "a.pth"), write(linear, "b.pth")
    assert same(read_weights(NET, *paths), tensors)
    image = torch.rand(1, 20, 20, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Lpips.load(NET, *paths)(image, 1 - image), Lpips(NET, tensors)(image, 1 - image))


@pytest.mark.parametrize("layout", [("slice2", ""), ("slices.1", ""), ("slice1", "net.")])
def test_one_file_with_everything(tensors, write, layout):
    assert same(read_weights(NET, write(as_module(tensors, *layout)), None), tensors)
    assert same(read_weights(NET, write(tensors), None), tensors)


def test_half_precision_becomes_float32(tensors, write):
    path = write({name: value.half() for name, value in tensors.items()})
    assert all(value.dtype == torch.float32 for value in read_weights(NET, path, None).values())


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda t: t.pop("features.0.bias"), "features.0.bias is missing"),
        (lambda t: t.pop("lin6.model.1.weight"), "lin6.model.1.weight is missing"),
        (lambda t: t.update({"features.3.squeeze.weight": torch.zeros(16, 32, 1, 1)}),
         r"features.3.squeeze.weight is 16 x 32 x 1 x 1 instead of 16 x 64 x 1 x 1"),
        (lambda t: t.update({"features.99.weight": torch.zeros(1)}), "features.99.weight is unknown"),
        (lambda t: t["features.0.bias"].fill_(float("nan")), "features.0.bias holds numbers that are not finite"),
        (lambda t: t.update({"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}), "scaling_layer.shift that is not LPIPS"),
    ],
    ids=["no bias", "no linear", "shape", "extra", "nan", "scaling"],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused_by_name(tensors, write, spoil, sentence):
    spoil(tensors)
    with pytest.raises(GtrError, match=sentence) as refused:
        read_weights(NET, write(tensors), None)
    assert refused.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert "weights.pth" in refused.value.message


def test_weights_of_another_backbone_are_refused(tmp_path):
    squeeze, alex = write_fake_weights("squeeze", tmp_path), write_fake_weights("alex", tmp_path)
    with pytest.raises(GtrError, match=r"squeeze_backbone.pth does not hold the weights of LPIPS with AlexNet"):
        read_weights("alex", squeeze[0], alex[1])
    with pytest.raises(
        GtrError, match=r"alex_linear.pth does not hold .* SqueezeNet 1.1: lin1.model.1.weight is 1 x 1"
    ):
        read_weights("squeeze", squeeze[0], alex[1])


def test_a_backbone_alone_is_not_the_metric(tensors, write):
    with pytest.raises(GtrError, match=r"lin0.model.1.weight is missing"):
        read_weights(NET, write(split(tensors)[0]), None)


def test_two_files_that_disagree_are_refused(tensors, write):
    linear = {name: value + 1 for name, value in split(tensors)[1].items()}
    with pytest.raises(GtrError, match=r"is not the one in all\.pth"):
        read_weights(NET, write(tensors, "all.pth"), write(linear, "linear.pth"))


class Malicious:
    def __reduce__(self):
        return (print, ("this must not be printed",))


@pytest.mark.parametrize("content", [b"", b"no weights at all", pickle.dumps(Malicious())])
def test_what_is_no_file_of_weights_is_refused_and_no_code_runs(tmp_path, capsys, content):
    path = tmp_path / "strange.pth"
    path.write_bytes(content)
    with pytest.raises(GtrError, match=r"strange.pth cannot be read as weights") as refused:
        read_weights(NET, path, None)
    assert refused.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert capsys.readouterr().out == ""


def test_a_file_that_runs_code_in_torchs_format_is_refused(write, capsys):
    with pytest.raises(GtrError, match="cannot be read as weights"):
        read_weights(NET, write({"features.0.weight": Malicious()}), None)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("values", [[1, 2], {"features.0.weight": 1}, {1: torch.zeros(1)}, torch.zeros(3)])
def test_a_file_of_something_else_is_refused(write, values):
    with pytest.raises(GtrError, match="is no table of named tensors"):
        read_weights(NET, write(values), None)


def test_a_missing_file_and_a_cut_one_are_refused(tmp_path, tensors, write):
    with pytest.raises(GtrError, match="There is no file of LPIPS weights at"):
        read_weights(NET, tmp_path / "absent.pth", None)
    with pytest.raises(GtrError, match="cannot be read"):
        read_weights(NET, tmp_path, None)
    path = write(tensors)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(GtrError, match="cannot be read as weights"):
        read_weights(NET, path, None)


@pytest.mark.parametrize("net", BACKBONES)
def test_weights_that_lie_in_torchs_cache_are_found(monkeypatch, tmp_path, net):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(lpips_files, "find_spec", lambda _: None)
    folder = tmp_path / "hub" / "checkpoints"
    assert find_weights(net) is None
    folder.mkdir(parents=True)
    backbone, linear = folder / BACKBONES[net].cached_as[0], folder / f"{net}.pth"
    backbone.touch()
    assert find_weights(net) is None
    linear.touch()
    assert find_weights(net) == (backbone, linear)


def test_linear_weights_inside_an_installed_package_are_found(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    backbone = tmp_path / "hub" / "checkpoints" / "vgg16-397923af.pth"
    linear = tmp_path / "lpips" / "weights" / "v0.1" / "vgg.pth"
    linear.parent.mkdir(parents=True)
    backbone.touch()
    linear.touch()
    spec = importlib.machinery.ModuleSpec("lpips", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "lpips")]
    monkeypatch.setattr(lpips_files, "find_spec", lambda name: spec if name == "lpips" else None)
    assert find_weights("vgg") == (backbone, linear)


def test_the_number_of_weights_is_the_published_one():
    """VGG16 has 14,714,688 numbers in its features, AlexNet 2,469,696, SqueezeNet 1.1 722,496."""
    counts = {net: sum(torch.Size(shape).numel() for shape in BACKBONES[net].shapes().values()) for net in BACKBONES}
    assert counts == {"vgg": 14_714_688, "alex": 2_469_696, "squeeze": 722_496}
    assert [len(weight_shapes(net)) - len(BACKBONES[net].shapes()) for net in BACKBONES] == [5, 5, 7]
