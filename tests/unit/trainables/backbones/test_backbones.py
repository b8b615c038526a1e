"""Parameter counts, endpoints, receptive fields and refusals of the four networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.backbones.base import Backbone
from trainables.backbones.bn_inception import BNInception
from trainables.backbones.c3d import C3D
from trainables.backbones.i3d import I3D
from trainables.backbones.x3d import X3D, SqueezeExcite, round_width


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (C3D, 27_655_936),
        (lambda: C3D(fc=True), 27_655_936 + 33_558_528 + 16_781_312),
        (I3D, 12_287_264),
        (lambda: I3D(in_channels=2), 12_265_312),
        (X3D, 3_296_415 - 2049 * 157),
        (X3D, 3_107_907 - 2049 * 65),
        (lambda: X3D(depth=5.0), 6_153_432 - 2049 * 400),
        (lambda: X3D(res2_shortcut_bn=False), 3_794_274 - 2049 * 400),
        (lambda: X3D(depth=5.0, res2_shortcut_bn=False), 6_153_384 - 2049 * 400),
        (lambda: X3D(width=1.0, depth=1.0, fc1_channels=256), 319_388 - 257 * 10),
        (lambda: BNInception(num_classes=1000), 11_295_240),
    ],
)
def test_published_parameter_counts(build: Callable[[], Backbone], count: int) -> None:
    with torch.device("meta"):
        assert _count(build()) == count


def test_parameters_of_the_parts_of_x3d_m() -> None:
    network = X3D()
    counts = {name: _count(child) for name, child in network.named_children()}
    assert counts == {
        "stem": 816,
        "res2": 15_418,
        "res3": 73_248,
        "res4": 569_256,
        "res5": 1_347_440,
        "conv5": 83_808,
        "pool": 0,
        "fc1": 884_736,
    }
    assert [len(getattr(network, f"res{i}")) for i in (2, 3, 4, 5)] == [3, 5, 11, 7]


@pytest.mark.parametrize(
    ("channels", "factor", "rounded"),
    [(54, 1 / 16, 8), (108, 1 / 16, 8), (216, 1 / 16, 16), (432, 1 / 16, 32), (12, 2, 24), (12, 1, 16), (20, 1, 24)],
)
def test_rounding_of_widths(channels: int, factor: float, rounded: int) -> None:
    assert round_width(channels, factor) == rounded


SMALL: list[tuple[str, Callable[[], Backbone], tuple[int, ...]]] = [
    ("c3d", C3D, (1, 3, 16, 32, 48)),
    ("c3d_fc", lambda: C3D(fc=True), (2, 3, 16, 112, 112)),
    ("i3d", I3D, (1, 3, 17, 33, 64)),
    ("i3d_flow", lambda: I3D(in_channels=2), (2, 2, 8, 32, 32)),
    ("x3d", X3D, (1, 3, 3, 64, 32)),
    ("bn_inception", lambda: BNInception(num_classes=9), (2, 3, 2, 64, 96)),
]


@pytest.mark.parametrize(("build", "shape"), [case[1:] for case in SMALL], ids=[case[0] for case in SMALL])
def test_endpoints_have_the_shapes_they_declare(build: Callable[[], Backbone], shape: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network, frames = build().eval(), torch.empty(shape)
    found = network.collect(frames, tuple(network.endpoints))
    assert tuple(found) == tuple(network.endpoints)
    for name, endpoint in network.endpoints.items():
        sizes = (-(-n // endpoint.stride_pixels) if endpoint.stride_pixels else 1 for n in shape[3:])
        wanted = (shape[0], endpoint.channels, -(-shape[2] // endpoint.stride_frames), *sizes)
        assert found[name].shape == wanted, name
    assert network(frames).shape == found[name].shape


def test_shapes_of_the_published_inputs() -> None:
    with torch.device("meta"):
        x3d = X3D().collect(torch.empty(1, 3, 16, 224, 224), ("stem", "res2", "res3", "res4", "res5", "conv5", "fc1"))
        assert C3D()(torch.empty(1, 3, 768, 112, 112)).shape == (1, 512, 96, 7, 7)
        i3d = I3D().collect(torch.empty(1, 3, 256, 96, 96), ("Mixed_3c", "Mixed_4f", "Mixed_5c"))
    assert {name: tuple(x.shape[1:]) for name, x in x3d.items()} == {
        "stem": (24, 16, 112, 112),
        "res2": (24, 16, 56, 56),
        "res3": (48, 16, 28, 28),
        "res4": (96, 16, 14, 14),
        "res5": (192, 16, 7, 7),
        "conv5": (432, 16, 7, 7),
        "fc1": (2048, 16, 1, 1),
    }
    assert {name: tuple(x.shape[1:]) for name, x in i3d.items()} == {
        "Mixed_3c": (480, 128, 12, 12),
        "Mixed_4f": (832, 64, 6, 6),
        "Mixed_5c": (1024, 32, 3, 3),
    }


def _transparent(network: Backbone) -> Backbone:
    """Weights that let the gradient of every frame through: positive, without shift."""
    for name, tensor in network.state_dict().items():
        if tensor.ndim > 1:
            tensor.fill_(1.0 / tensor[0].numel())
        elif not name.endswith(("running_var", "num_batches_tracked")):
            tensor.fill_(1.0 if name.endswith("weight") else 0.0)
    return network.eval()


def _mean_pool(x: Tensor, kernel: Any, stride: Any = None, padding: Any = 0, *_: Any, **__: Any) -> Tensor:
    return F.avg_pool3d(x, kernel, stride, padding)


@pytest.mark.parametrize(
    ("build", "frames", "index", "names"),
    [
        (I3D, 160, 9, ("Conv3d_1a_7x7", "Mixed_3b", "Mixed_3c", "MaxPool3d_4a_3x3", "Mixed_4f", "Mixed_5c")),
        (C3D, 96, 5, ("conv1a", "pool2", "conv3b", "pool3", "pool4", "conv5b")),
        (lambda: X3D(depth=1.0), 60, 30, ("stem", "res3", "conv5")),
    ],
    ids=["i3d", "c3d", "x3d"],
)
def test_centres_of_receptive_fields(
    monkeypatch: pytest.MonkeyPatch, build: Callable[[], Backbone], frames: int, index: int, names: tuple[str, ...]
) -> None:
    # a maximum passes the gradient to one frame of its window only; the mean has the same field
    monkeypatch.setattr(F, "max_pool3d", _mean_pool)
    # the gates of squeeze and excitation see every frame; the field is that of the convolutions
    monkeypatch.setattr(SqueezeExcite, "forward", lambda _, x: x)
    network = _transparent(build())
    clip = torch.ones(1, 3, frames, 32, 32, requires_grad=True)
    found = network.collect(clip, names)
    for name in names:
        endpoint = network.endpoints[name]
        # in the middle of the clip, so that no border cuts the field
        i = index * network.endpoints[names[-1]].stride_frames // endpoint.stride_frames
        (gradient,) = torch.autograd.grad(found[name][:, :, i].sum(), clip, retain_graph=True)
        seen = torch.nonzero(gradient.abs().sum(dim=(0, 1, 3, 4)))[:, 0]
        assert seen.min() > 0, name
        assert seen.max() < frames - 1, name
        centre = float(seen.min() + seen.max() + 1) / 2
        assert centre == endpoint.stride_frames * i + endpoint.centre_frames, name


def test_centres_of_i3d_stages() -> None:
    with torch.device("meta"):
        endpoints = I3D().endpoints
    facts = [(endpoints[n].stride_frames, endpoints[n].centre_frames) for n in ("Mixed_3c", "Mixed_4f", "Mixed_5c")]
    assert facts == [(2, 1.5), (4, 3.5), (8, 5.5)]


def test_nothing_beyond_the_last_endpoint_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = X3D(width=1.0, depth=1.0).eval()
    monkeypatch.setattr(network.conv5, "forward", lambda _: pytest.fail("conv5 was computed"))
    assert list(network.collect(torch.zeros(1, 3, 1, 32, 32), ("res2", "res5"))) == ["res2", "res5"]


def test_bn_inception_sees_each_frame_alone() -> None:
    torch.manual_seed(0)
    network = BNInception().eval()
    clips = torch.randn(2, 3, 3, 64, 64) * 50
    with torch.no_grad():
        together = network(clips)
        for b in range(2):
            for t in range(3):
                alone = network(clips[b : b + 1, :, t : t + 1])
                torch.testing.assert_close(alone[0, :, 0], together[b, :, t], rtol=1e-4, atol=1e-5)
    assert together.std() > 1e-3


@pytest.mark.parametrize("build", [C3D, I3D, X3D])
def test_inference_is_repeatable(build: Callable[[], Backbone]) -> None:
    network = build().eval()
    frames = torch.randn(1, 3, 8, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(frames), network(frames))


@pytest.mark.parametrize(
    ("build", "shape", "names", "complaint"),
    [
        (C3D, (1, 3, 8, 32, 32), ("fc6",), r"endpoint: \['fc6'\] asked of C3D; it has conv1a, pool1"),
        (C3D, (1, 3, 8, 32, 32), (), "endpoint: none asked of C3D"),
        (C3D, (1, 3, 12, 32, 32), ("conv5b",), "T = 12 is no multiple of 8, as C3D needs"),
        (C3D, (1, 2, 8, 32, 32), ("conv5b",), r"C3D takes \(B, 3, T, H, W\), got \(1, 2, 8, 32, 32\)"),
        (I3D, (3, 8, 32, 32), ("Mixed_5c",), r"I3D takes \(B, 3, T, H, W\), got \(3, 8, 32, 32\)"),
        (I3D, (1, 3, 0, 32, 32), ("Mixed_5c",), "T = 0"),
        (BNInception, (1, 3, 1, 64, 70), ("conv1",), "W = 70 is no multiple of 32, as BNInception needs"),
        (lambda: C3D(fc=True), (1, 3, 16, 64, 64), ("fc6",), "give 16 frames of 112 x 112"),
    ],
)
def test_refused_inputs(
    build: Callable[[], Backbone], shape: tuple[int, ...], names: tuple[str, ...], complaint: str
) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=complaint):
        build().collect(torch.empty(shape), names)
