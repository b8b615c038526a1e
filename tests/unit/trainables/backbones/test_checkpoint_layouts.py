"""Public checkpoints: every layout against a plain forward pass on its own keys; misfits listed in full."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from public_networks import (
    C3D_PORT,
    PYTORCHVIDEO,
    SLOWFAST,
    SSDET,
    X3D_M,
    X3D_TINY,
    X3DNames,
    bn_inception_scores,
    bn_inception_shapes,
    c3d_conv5b,
    c3d_fc7,
    c3d_shapes,
    i3d_mixed_5c,
    i3d_shapes,
    num_parameters,
    random_state,
    x3d_fc1,
    x3d_shapes,
)
from safetensors.torch import save_file
from torch import Tensor, nn

from trainables.backbones.base import Backbone
from trainables.backbones.bn_inception import BNInception
from trainables.backbones.c3d import C3D
from trainables.backbones.i3d import I3D
from trainables.backbones.layouts import (
    BN_INCEPTION_LAYOUTS,
    C3D_LAYOUTS,
    I3D_LAYOUTS,
    X3D_LAYOUTS,
    flatten_rows,
    fold_sub_batch_norm,
)
from trainables.backbones.weights import Layout, load_checkpoint, read_checkpoint
from trainables.backbones.x3d import X3D

State = dict[str, Tensor]


def _load(
    network: Backbone, content: Any, layouts: tuple[Layout, ...], folder: Path, layout: str | None = None
) -> tuple[str, ...]:
    path = folder / "weights.pt"
    torch.save(content, path)
    checkpoint = read_checkpoint(path, layouts, layout=layout)
    network.eval()
    return load_checkpoint(network, checkpoint)


def _tiny(layout: str = "slowfast") -> X3D:
    return X3D(width=1.0, depth=1.0, fc1_channels=256, res2_shortcut_bn=layout != "pytorchvideo")


def _close(a: Tensor, b: Tensor) -> None:
    assert a.std() > 1e-3, "a dead network agrees with everything"
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max()))


def test_the_generated_keys_have_the_published_counts() -> None:
    assert num_parameters(c3d_shapes()) == 79_991_015
    assert num_parameters(i3d_shapes(3)) == 12_697_264
    assert num_parameters(i3d_shapes(2)) == 12_675_312
    assert num_parameters(x3d_shapes(SLOWFAST, X3D_M)) == 3_794_322
    assert num_parameters(x3d_shapes(PYTORCHVIDEO, X3D_M)) == 3_794_274
    assert num_parameters(x3d_shapes(SLOWFAST, X3D_TINY)) == 319_388
    assert num_parameters(x3d_shapes(PYTORCHVIDEO, X3D_TINY)) == 319_356
    assert num_parameters(bn_inception_shapes(3, 1000)) == 11_295_240


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("c3d-pytorch", str),
        ("caffe", lambda layer: layer + "a" if layer in ("conv1", "conv2") else layer),
        ("r-c3d-pytorch", C3D_PORT.__getitem__),
    ],
)
def test_c3d_trunk(tmp_path: Path, layout: str, name: Callable[[str], str]) -> None:
    state = random_state({k: v for k, v in c3d_shapes().items() if not k.startswith("fc")})
    head = random_state({f"{name(fc)}.bias": (3,) for fc in ("fc6", "fc7", "fc8")})
    named = {f"{name(k.rpartition('.')[0])}.{k.rpartition('.')[2]}": v for k, v in state.items()}
    network = C3D()
    left_over = _load(network, named | head, C3D_LAYOUTS, tmp_path)
    assert sorted(left_over) == sorted(head)
    frames = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        _close(network(frames), c3d_conv5b(state, frames))
    assert read_checkpoint(tmp_path / "weights.pt", C3D_LAYOUTS).layout.name == layout


def test_c3d_with_its_fully_connected_layers(tmp_path: Path) -> None:
    state = random_state(c3d_shapes())
    network = C3D(fc=True)
    assert sorted(_load(network, state, C3D_LAYOUTS, tmp_path)) == ["fc8.bias", "fc8.weight"]
    frames = torch.randn(1, 3, 16, 112, 112)
    with torch.no_grad():
        found = network.collect(frames, ("conv5b", "fc7"))
        _close(found["conv5b"], c3d_conv5b(state, frames))
        _close(found["fc7"].flatten(1), c3d_fc7(state, found["conv5b"]))
    (tmp_path / "weights.pt").unlink()


@pytest.mark.parametrize("in_channels", [3, 2])
def test_i3d(tmp_path: Path, in_channels: int) -> None:
    state = random_state(i3d_shapes(in_channels))
    network = I3D(in_channels=in_channels)
    left_over = _load(network, state, I3D_LAYOUTS, tmp_path)
    assert sorted(left_over) == ["logits.conv3d.bias", "logits.conv3d.weight"]
    # odd sizes: the padding depends on them
    frames = torch.randn(1, in_channels, 19, 35, 50)
    with torch.no_grad():
        _close(network(frames), i3d_mixed_5c(state, frames))


@pytest.mark.parametrize(
    ("layout", "names"), [("slowfast", SLOWFAST), ("pytorchvideo", PYTORCHVIDEO), ("ssdet", SSDET)]
)
def test_x3d(tmp_path: Path, layout: str, names: X3DNames) -> None:
    state = random_state(x3d_shapes(names, X3D_TINY))
    network = _tiny(layout)
    left_over = _load(network, {"model_state": state, "epoch": 3}, X3D_LAYOUTS, tmp_path)
    assert sorted(left_over) == [f"{names.fc2}.bias", f"{names.fc2}.weight"]
    frames = torch.randn(2, 3, 5, 64, 48)
    with torch.no_grad():
        _close(network(frames), x3d_fc1(names, X3D_TINY, state, frames))
    assert read_checkpoint(tmp_path / "weights.pt", X3D_LAYOUTS).layout.name == layout


@pytest.mark.parametrize("names", [SLOWFAST, PYTORCHVIDEO, SSDET])
def test_x3d_m_takes_every_key(tmp_path: Path, names: X3DNames) -> None:
    network = X3D(res2_shortcut_bn=names is not PYTORCHVIDEO)
    assert len(_load(network, random_state(x3d_shapes(names, X3D_M)), X3D_LAYOUTS, tmp_path)) == 2


@pytest.mark.parametrize(("prefix", "fc"), [("", "last_linear"), ("", "fc"), ("base_model.", "new_fc")])
@pytest.mark.parametrize("in_channels", [3, 10])
def test_bn_inception(tmp_path: Path, prefix: str, fc: str, in_channels: int) -> None:
    state = random_state(bn_inception_shapes(in_channels, 7, prefix=prefix, fc=fc))
    network = BNInception(in_channels=in_channels, num_classes=7)
    # as data-parallel training stores itself, without the counters that old versions did not have
    stored = {f"module.{k}": v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert _load(network, {"state_dict": stored, "arch": "BNInception"}, BN_INCEPTION_LAYOUTS, tmp_path) == ()
    images = torch.randn(3, in_channels, 64, 64)
    with torch.no_grad():
        scores = network(images.transpose(0, 1)[None])
        _close(scores[0, :, :, 0, 0].T, bn_inception_scores(state, images, prefix=prefix, fc=fc))
    without = BNInception(in_channels=in_channels)
    assert len(_load(without, state, BN_INCEPTION_LAYOUTS, tmp_path)) == 2


def test_bn_inception_with_vectors_stored_as_rows(tmp_path: Path) -> None:
    state = random_state(bn_inception_shapes(3, 5))
    rows = {k: v[None] if "_bn." in k and v.ndim == 1 else v for k, v in state.items()}
    assert any(v.ndim == 2 and len(v) == 1 for v in rows.values())
    assert {k: v.shape for k, v in flatten_rows(rows).items()} == {k: v.shape for k, v in state.items()}
    network = BNInception(num_classes=5)
    assert _load(network, rows, BN_INCEPTION_LAYOUTS, tmp_path) == ()
    assert torch.equal(network.conv2.bn.running_mean, state["conv2_3x3_bn.running_mean"])


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**31))
def test_split_statistics_are_those_of_all_values_together(splits: int, channels: int, seed: int) -> None:
    values = torch.randn(splits, 50, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    state = {
        "a.weight": torch.ones(channels),
        "a.bn.running_mean": torch.zeros(channels),
        "a.bn.running_var": torch.ones(channels),
        "a.split_bn.running_mean": values.mean(dim=1).flatten(),
        "a.split_bn.running_var": values.var(dim=1, correction=0).flatten(),
        "a.split_bn.num_batches_tracked": torch.tensor(1),
    }
    folded = fold_sub_batch_norm(state)
    assert sorted(folded) == ["a.bn.running_mean", "a.bn.running_var", "a.weight"]
    together = values.flatten(0, 1)
    torch.testing.assert_close(folded["a.bn.running_mean"], together.mean(dim=0))
    torch.testing.assert_close(folded["a.bn.running_var"], together.var(dim=0, correction=0))
    untouched = fold_sub_batch_norm(state | {"a.split_bn.num_batches_tracked": torch.tensor(0)})
    assert torch.equal(untouched["a.bn.running_var"], torch.ones(channels))


TINY_STATE = random_state(x3d_shapes(SLOWFAST, X3D_TINY))
#: Keys the network needs, without the one that tells the layout.
NEEDED = sorted(
    k
    for k in TINY_STATE
    if "num_batches" not in k and not k.startswith("head.projection") and k != "s1.pathway0_stem.conv_xy.weight"
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(NEEDED), min_size=3, max_size=6, unique=True), st.integers(1, 2), st.integers(0, 3))
def test_every_misfit_is_listed(tmp_path: Path, keys: list[str], missing: int, unexpected: int) -> None:
    dropped, (misshapen, poisoned, *_) = keys[:missing], [*keys[missing:], *keys[:missing]]
    state = {k: v for k, v in TINY_STATE.items() if k not in dropped}
    state |= {f"optimizer.{i}": torch.ones(2) for i in range(unexpected)}
    if misshapen in state:
        state[misshapen] = torch.zeros(*state[misshapen].shape, 2)
    both = poisoned in state
    if both:
        state[poisoned] = torch.full_like(state[poisoned], torch.nan)
    network = _tiny()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(ValueError, match="nothing was loaded") as caught:
        _load(network, state, X3D_LAYOUTS, tmp_path)
    message = str(caught.value)
    assert f"{missing} missing: " in message
    assert (f"{unexpected} unexpected: optimizer.0" in message) == (unexpected > 0)
    assert ("1 of another shape: " in message) == (misshapen in state)
    assert ("1 not finite: " in message) == both
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_a_long_list_is_counted(tmp_path: Path) -> None:
    state = {"conv1.weight": torch.zeros(64, 3, 3, 3, 3)} | {f"extra.{i}": torch.zeros(1) for i in range(23)}
    with pytest.raises(ValueError, match=r"15 missing: conv1a\.bias, .*\n  23 unexpected: .*extra\.19 and 3 more"):
        _load(C3D(), state, C3D_LAYOUTS, tmp_path)


def test_one_tensor_twice_is_refused(tmp_path: Path) -> None:
    state = random_state(bn_inception_shapes(3, 5)) | random_state({"fc.weight": (5, 1024), "fc.bias": (5,)})
    with pytest.raises(ValueError, match=r"2 twice: fc\.weight \(also fc\.weight\)"):
        _load(BNInception(num_classes=5), state, BN_INCEPTION_LAYOUTS, tmp_path)


def test_pytorchvideo_weights_need_the_network_without_the_first_shortcut_norm(tmp_path: Path) -> None:
    state = random_state(x3d_shapes(PYTORCHVIDEO, X3D_TINY))
    with pytest.raises(ValueError, match=r"4 missing: res2\.0\.shortcut_bn\.weight"):
        _load(_tiny("slowfast"), state, X3D_LAYOUTS, tmp_path)


def test_a_layout_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layout: 'caffee' is none of c3d-pytorch, caffe, r-c3d-pytorch"):
        _load(C3D(), {"a": torch.zeros(1)}, C3D_LAYOUTS, tmp_path, "caffee")
    with pytest.raises(ValueError, match="does not fit C3D in layout 'caffe'"):
        _load(C3D(), {"conv1.weight": torch.zeros(1)}, C3D_LAYOUTS, tmp_path, "caffe")


@pytest.mark.parametrize("content", [[1, 2], {}, {"state_dict": {}}, {"weights": 3}])
def test_what_is_no_state_dict(tmp_path: Path, content: Any) -> None:
    with pytest.raises(ValueError, match="holds no state dict"):
        _load(C3D(), content, C3D_LAYOUTS, tmp_path)


def test_an_unknown_layout_is_told_with_its_keys(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mark of 0 known layouts .*its keys start backbone\.w"):
        _load(C3D(), {"backbone.w": torch.zeros(1)}, C3D_LAYOUTS, tmp_path)


class _Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("harm-done",)


def test_nothing_but_weights_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="cannot be read as weights only"):
        _load(C3D(), {"conv1.weight": _Harmful()}, C3D_LAYOUTS, tmp_path)
    assert not (tmp_path / "harm-done").exists()


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_files_that_are_no_checkpoints(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(FileNotFoundError, match="no such file of weights"):
        read_checkpoint(path, C3D_LAYOUTS)
    path.write_bytes(b"not a checkpoint at all")
    with pytest.raises(ValueError, match=name):
        read_checkpoint(path, C3D_LAYOUTS)


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(TINY_STATE, path)
    checkpoint = read_checkpoint(path, X3D_LAYOUTS)
    network: nn.Module = _tiny()
    load_checkpoint(network, checkpoint)
    assert torch.equal(network.state_dict()["fc1.weight"], TINY_STATE["head.lin_5.weight"])
    assert len(checkpoint.sha256) == 64
