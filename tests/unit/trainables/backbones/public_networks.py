"""The networks as their public releases have them: names and shapes of every tensor, and a plain forward pass on them.

Written from the public sources, key by key, with functions only; shares nothing with what is tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]
State = Mapping[str, Tensor]


def random_state(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Values of a size that keeps activations alive."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        elif key.endswith("running_var"):
            state[key] = values.abs() + 0.5
        elif len(shape) > 1:
            state[key] = values * math.sqrt(2.0 / math.prod(shape[1:]))
        else:
            state[key] = 0.3 * values + (1.0 if key.endswith("weight") else 0.1)
    return state


def num_parameters(shapes: Shapes) -> int:
    """Everything but the buffers."""
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return sum(math.prod(shape) for key, shape in shapes.items() if not key.endswith(buffers))


def _bn_shapes(key: str, channels: int) -> Shapes:
    vectors = {f"{key}.{n}": (channels,) for n in ("weight", "bias", "running_mean", "running_var")}
    return {**vectors, f"{key}.num_batches_tracked": ()}


def _norm(x: Tensor, state: State, key: str, eps: float = 1e-5) -> Tensor:
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mean, var, weight, bias = (
        state[f"{key}.{n}"].view(shape) for n in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + eps).sqrt() * weight + bias


# C3D ----------------------------------------------------------------------------------------------------------------

C3D_CONVS = {
    "conv1": (3, 64),
    "conv2": (64, 128),
    "conv3a": (128, 256),
    "conv3b": (256, 256),
    "conv4a": (256, 512),
    "conv4b": (512, 512),
    "conv5a": (512, 512),
    "conv5b": (512, 512),
}
C3D_FCS = {"fc6": (8192, 4096), "fc7": (4096, 4096), "fc8": (4096, 487)}

#: Positions of the same layers in the port of R-C3D.
C3D_PORT = {
    **dict(zip(C3D_CONVS, (f"features.{i}" for i in (0, 3, 6, 8, 11, 13, 16, 18)), strict=True)),
    **dict(zip(C3D_FCS, (f"classifier.{i}" for i in (0, 3, 6)), strict=True)),
}


def c3d_shapes(name: Callable[[str], str] = str) -> Shapes:
    """DavideA/c3d-pytorch's keys, or those ``name`` makes of them."""
    shapes: Shapes = {}
    for layer, (a, b) in C3D_CONVS.items():
        shapes |= {f"{name(layer)}.weight": (b, a, 3, 3, 3), f"{name(layer)}.bias": (b,)}
    for layer, (a, b) in C3D_FCS.items():
        shapes |= {f"{name(layer)}.weight": (b, a), f"{name(layer)}.bias": (b,)}
    return shapes


def c3d_conv5b(state: State, x: Tensor) -> Tensor:
    """On DavideA/c3d-pytorch's keys."""
    for layer in C3D_CONVS:
        x = F.conv3d(x, state[f"{layer}.weight"], state[f"{layer}.bias"], padding=1).clamp(min=0)
        if layer in ("conv1", "conv2", "conv3b", "conv4b"):
            x = F.max_pool3d(x, (1 if layer == "conv1" else 2, 2, 2))
    return x


def c3d_fc7(state: State, conv5b: Tensor) -> Tensor:
    """From the features of 16 frames of 112 pixels."""
    x = F.max_pool3d(conv5b, 2, 2, padding=(0, 1, 1)).reshape(len(conv5b), 8192)
    for layer in ("fc6", "fc7"):
        x = (x @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]).clamp(min=0)
    return x


# I3D ----------------------------------------------------------------------------------------------------------------

I3D_MIXED = {
    "3b": (192, (64, 96, 128, 16, 32, 32)),
    "3c": (256, (128, 128, 192, 32, 96, 64)),
    "4b": (480, (192, 96, 208, 16, 48, 64)),
    "4c": (512, (160, 112, 224, 24, 64, 64)),
    "4d": (512, (128, 128, 256, 24, 64, 64)),
    "4e": (512, (112, 144, 288, 32, 64, 64)),
    "4f": (528, (256, 160, 320, 32, 128, 128)),
    "5b": (832, (256, 160, 320, 32, 128, 128)),
    "5c": (832, (384, 192, 384, 48, 128, 128)),
}


def i3d_shapes(in_channels: int) -> Shapes:
    """piergiaj/pytorch-i3d with 400-way logits."""
    shapes: Shapes = {}

    def unit(name: str, a: int, b: int, kernel: int) -> None:
        shapes[f"{name}.conv3d.weight"] = (b, a, kernel, kernel, kernel)
        shapes.update(_bn_shapes(f"{name}.bn", b))

    unit("Conv3d_1a_7x7", in_channels, 64, 7)
    unit("Conv3d_2b_1x1", 64, 64, 1)
    unit("Conv3d_2c_3x3", 64, 192, 3)
    for name, (a, (b0, b1a, b1b, b2a, b2b, b3b)) in I3D_MIXED.items():
        branches = {"b0": (a, b0, 1), "b1a": (a, b1a, 1), "b1b": (b1a, b1b, 3), "b2a": (a, b2a, 1)}
        branches |= {"b2b": (b2a, b2b, 3), "b3b": (a, b3b, 1)}
        for branch, sizes in branches.items():
            unit(f"Mixed_{name}.{branch}", *sizes)
    return shapes | {"logits.conv3d.weight": (400, 1024, 1, 1, 1), "logits.conv3d.bias": (400,)}


def _tf_pad(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """TensorFlow's own definition of SAME, not the ported code's."""
    for axis, (k, s) in enumerate(zip(kernel, stride, strict=True), start=2):
        size = x.shape[axis]
        total = max((math.ceil(size / s) - 1) * s + k - size, 0)
        front = x.new_zeros([total // 2 if i == axis else n for i, n in enumerate(x.shape)])
        back = x.new_zeros([total - total // 2 if i == axis else n for i, n in enumerate(x.shape)])
        x = torch.cat([front, x, back], dim=axis)
    return x


def i3d_mixed_5c(state: State, x: Tensor) -> Tensor:
    """Up to the last block."""

    def unit(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.conv3d.weight"]
        strides = (stride,) * 3
        y = F.conv3d(_tf_pad(x, tuple(weight.shape[2:]), strides), weight, stride=strides)
        return _norm(y, state, f"{name}.bn", eps=1e-3).clamp(min=0)

    def pool(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
        return F.max_pool3d(_tf_pad(x, kernel, stride), kernel, stride)

    x = pool(unit(x, "Conv3d_1a_7x7", 2), (1, 3, 3), (1, 2, 2))
    x = pool(unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3"), (1, 3, 3), (1, 2, 2))
    for name in I3D_MIXED:
        if name == "4b":
            x = pool(x, (3, 3, 3), (2, 2, 2))
        if name == "5b":
            x = pool(x, (2, 2, 2), (2, 2, 2))
        key = f"Mixed_{name}"
        b1, b2 = unit(unit(x, f"{key}.b1a"), f"{key}.b1b"), unit(unit(x, f"{key}.b2a"), f"{key}.b2b")
        b3 = unit(pool(x, (3, 3, 3), (1, 1, 1)), f"{key}.b3b")
        x = torch.cat([unit(x, f"{key}.b0"), b1, b2, b3], dim=1)
    return x


# X3D ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class X3DNames:
    """Keys of one release; stage is 2 to 5, part is a, b or c."""

    stem_xy: str
    stem_t: str
    stem_bn: str
    shortcut: str
    shortcut_bn: str | None
    conv: Callable[[int, int, str], str]
    bn: Callable[[int, int, str], str]
    se: tuple[str, str]
    conv5: str
    conv5_bn: str
    fc1: str
    fc2: str
    first_stage: int
    splits: int = 0


SLOWFAST = X3DNames(
    stem_xy="s1.pathway0_stem.conv_xy",
    stem_t="s1.pathway0_stem.conv",
    stem_bn="s1.pathway0_stem.bn",
    shortcut="s{i}.pathway0_res{j}.branch1",
    shortcut_bn="s{i}.pathway0_res{j}.branch1_bn",
    conv=lambda i, j, part: f"s{i}.pathway0_res{j}.branch2.{part}",
    bn=lambda i, j, part: f"s{i}.pathway0_res{j}.branch2.{part}_bn",
    se=("s{i}.pathway0_res{j}.branch2.se.fc1", "s{i}.pathway0_res{j}.branch2.se.fc2"),
    conv5="head.conv_5",
    conv5_bn="head.conv_5_bn",
    fc1="head.lin_5",
    fc2="head.projection",
    first_stage=2,
)
_PTV = "blocks.{i}.res_blocks.{j}"
PYTORCHVIDEO = X3DNames(
    stem_xy="blocks.0.conv.conv_t",
    stem_t="blocks.0.conv.conv_xy",
    stem_bn="blocks.0.norm",
    shortcut=f"{_PTV}.branch1_conv",
    shortcut_bn=f"{_PTV}.branch1_norm",
    conv=lambda i, j, part: f"blocks.{i}.res_blocks.{j}.branch2.conv_{part}",
    bn=lambda i, j, part: f"blocks.{i}.res_blocks.{j}.branch2.norm_{part}" + (".0" if part == "b" else ""),
    se=(f"{_PTV}.branch2.norm_b.1.block.0", f"{_PTV}.branch2.norm_b.1.block.2"),
    conv5="blocks.5.pool.pre_conv",
    conv5_bn="blocks.5.pool.pre_norm",
    fc1="blocks.5.pool.post_conv",
    fc2="blocks.5.proj",
    first_stage=1,
)
SSDET = X3DNames(
    stem_xy="conv1_s",
    stem_t="conv1_t",
    stem_bn="bn1",
    shortcut="layer{i}.{j}.downsample.0",
    shortcut_bn="layer{i}.{j}.downsample.1",
    conv=lambda i, j, part: f"layer{i}.{j}.conv{'abc'.index(part) + 1}",
    bn=lambda i, j, part: f"layer{i}.{j}.bn{'abc'.index(part) + 1}",
    se=("layer{i}.{j}.fc1", "layer{i}.{j}.fc2"),
    conv5="conv5",
    conv5_bn="bn5",
    fc1="fc1",
    fc2="fc2",
    first_stage=1,
    splits=8,
)


@dataclass(frozen=True)
class X3DSize:
    """Channels and blocks, as the paper's Table 1 and the public configurations give them."""

    stem: int
    stages: tuple[tuple[int, int, int, int], ...]  # out, inner, squeezed, blocks
    conv5: int
    fc1: int
    classes: int


X3D_M = X3DSize(24, ((24, 54, 8, 3), (48, 108, 8, 5), (96, 216, 16, 11), (192, 432, 32, 7)), 432, 2048, 400)
X3D_TINY = X3DSize(16, ((16, 36, 8, 1), (24, 54, 8, 2), (48, 108, 8, 5), (96, 216, 16, 3)), 216, 256, 10)


def x3d_shapes(names: X3DNames, size: X3DSize) -> Shapes:
    """Every key of a release; pytorchvideo has no normalisation on the first shortcut."""
    shapes: Shapes = {}

    def bn(key: str, channels: int) -> None:
        if not names.splits:
            shapes.update(_bn_shapes(key, channels))
            return
        shapes.update({f"{key}.weight": (channels,), f"{key}.bias": (channels,)})
        for inner, width in (("bn", channels), ("split_bn", names.splits * channels)):
            shapes.update({f"{key}.{inner}.{n}": (width,) for n in ("running_mean", "running_var")})
            shapes[f"{key}.{inner}.num_batches_tracked"] = ()

    shapes[f"{names.stem_xy}.weight"] = (size.stem, 3, 1, 3, 3)
    shapes[f"{names.stem_t}.weight"] = (size.stem, 1, 5, 1, 1)
    bn(names.stem_bn, size.stem)
    channels = size.stem
    for i, (out, inner, squeezed, blocks) in enumerate(size.stages, start=names.first_stage):
        for j in range(blocks):
            if j == 0:
                shapes[f"{names.shortcut.format(i=i, j=j)}.weight"] = (out, channels, 1, 1, 1)
                if names is not PYTORCHVIDEO or i > names.first_stage:
                    bn(names.shortcut_bn.format(i=i, j=j), out)
            convs = {"a": (inner, channels, 1, 1, 1), "b": (inner, 1, 3, 3, 3), "c": (out, inner, 1, 1, 1)}
            for part, shape in convs.items():
                shapes[f"{names.conv(i, j, part)}.weight"] = shape
                bn(names.bn(i, j, part), shape[0])
            if j % 2 == 0:
                one, two = (key.format(i=i, j=j) for key in names.se)
                shapes |= {f"{one}.weight": (squeezed, inner, 1, 1, 1), f"{one}.bias": (squeezed,)}
                shapes |= {f"{two}.weight": (inner, squeezed, 1, 1, 1), f"{two}.bias": (inner,)}
            channels = out
    shapes[f"{names.conv5}.weight"] = (size.conv5, channels, 1, 1, 1)
    bn(names.conv5_bn, size.conv5)
    shapes[f"{names.fc1}.weight"] = (size.fc1, size.conv5, 1, 1, 1)
    return shapes | {f"{names.fc2}.weight": (size.classes, size.fc1), f"{names.fc2}.bias": (size.classes,)}


def x3d_fc1(names: X3DNames, size: X3DSize, state: State, x: Tensor) -> Tensor:
    """Per-frame features of the last hidden layer."""

    def bn(x: Tensor, key: str) -> Tensor:
        if not names.splits:
            return _norm(x, state, key)
        means = state[f"{key}.split_bn.running_mean"].view(names.splits, -1)
        second = state[f"{key}.split_bn.running_var"].view(names.splits, -1) + means**2
        joined = {"running_mean": means.mean(0), "running_var": second.mean(0) - means.mean(0) ** 2}
        affine = {n: state[f"{key}.{n}"] for n in ("weight", "bias")}
        return _norm(x, {f"k.{n}": v for n, v in (joined | affine).items()}, "k")

    def conv(x: Tensor, key: str, **kwargs: object) -> Tensor:
        return F.conv3d(x, state[f"{key}.weight"], state.get(f"{key}.bias"), **kwargs)

    x = conv(x, names.stem_xy, stride=(1, 2, 2), padding=(0, 1, 1))
    x = bn(conv(x, names.stem_t, padding=(2, 0, 0), groups=size.stem), names.stem_bn).clamp(min=0)
    for i, (_, inner, _, blocks) in enumerate(size.stages, start=names.first_stage):
        for j in range(blocks):
            stride = (1, 2, 2) if j == 0 else 1
            y = bn(conv(x, names.conv(i, j, "a")), names.bn(i, j, "a")).clamp(min=0)
            y = bn(conv(y, names.conv(i, j, "b"), stride=stride, padding=1, groups=inner), names.bn(i, j, "b"))
            if j % 2 == 0:
                one, two = (key.format(i=i, j=j) for key in names.se)
                y = y * torch.sigmoid(conv(conv(y.mean((2, 3, 4), keepdim=True), one).clamp(min=0), two))
            y = bn(conv(y * torch.sigmoid(y), names.conv(i, j, "c")), names.bn(i, j, "c"))
            if j == 0:
                x = conv(x, names.shortcut.format(i=i, j=j), stride=(1, 2, 2))
                if names is not PYTORCHVIDEO or i > names.first_stage:
                    x = bn(x, names.shortcut_bn.format(i=i, j=j))
            x = (x + y).clamp(min=0)
    x = bn(conv(x, names.conv5), names.conv5_bn).clamp(min=0)
    return conv(x.mean((3, 4), keepdim=True), names.fc1).clamp(min=0)


# BN-Inception -------------------------------------------------------------------------------------------------------

#: in, 1x1, 3x3 reduce, 3x3, double reduce, double, projection; 0 = no such branch
BN_INCEPTION = {
    "3a": (192, 64, 64, 64, 64, 96, 32),
    "3b": (256, 64, 64, 96, 64, 96, 64),
    "3c": (320, 0, 128, 160, 64, 96, 0),
    "4a": (576, 224, 64, 96, 96, 128, 128),
    "4b": (576, 192, 96, 128, 96, 128, 128),
    "4c": (576, 160, 128, 160, 128, 160, 128),
    "4d": (608, 96, 128, 192, 160, 192, 128),
    "4e": (608, 0, 128, 192, 192, 256, 0),
    "5a": (1056, 352, 192, 320, 160, 224, 128),
    "5b": (1024, 352, 192, 320, 192, 224, 128),
}


def bn_inception_shapes(in_channels: int, classes: int, *, prefix: str = "", fc: str = "last_linear") -> Shapes:
    """Cadene/pretrained-models.pytorch's keys; the prefix and classifier of yjxiong/tsn-pytorch by argument."""
    shapes: Shapes = {}

    def conv(name: str, a: int, b: int, kernel: int) -> None:
        shapes.update({f"{prefix}{name}.weight": (b, a, kernel, kernel), f"{prefix}{name}.bias": (b,)})
        shapes.update(_bn_shapes(f"{prefix}{name}_bn", b))

    conv("conv1_7x7_s2", in_channels, 64, 7)
    conv("conv2_3x3_reduce", 64, 64, 1)
    conv("conv2_3x3", 64, 192, 3)
    for block, (a, one, reduce, three, double_reduce, double, proj) in BN_INCEPTION.items():
        name = f"inception_{block}"
        if one:
            conv(f"{name}_1x1", a, one, 1)
        conv(f"{name}_3x3_reduce", a, reduce, 1)
        conv(f"{name}_3x3", reduce, three, 3)
        conv(f"{name}_double_3x3_reduce", a, double_reduce, 1)
        conv(f"{name}_double_3x3_1", double_reduce, double, 3)
        conv(f"{name}_double_3x3_2", double, double, 3)
        if proj:
            conv(f"{name}_pool_proj", a, proj, 1)
    return shapes | {f"{fc}.weight": (classes, 1024), f"{fc}.bias": (classes,)}


def bn_inception_scores(state: State, x: Tensor, *, prefix: str = "", fc: str = "last_linear") -> Tensor:
    """(N, C, H, W) images -> (N, K) class scores."""

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{prefix}{name}.weight"]
        y = F.conv2d(x, weight, state[f"{prefix}{name}.bias"], stride, weight.shape[-1] // 2)
        return _norm(y, state, f"{prefix}{name}_bn").clamp(min=0)

    x = F.max_pool2d(conv(x, "conv1_7x7_s2", 2), 3, 2, ceil_mode=True)
    x = F.max_pool2d(conv(conv(x, "conv2_3x3_reduce"), "conv2_3x3"), 3, 2, ceil_mode=True)
    for block, (_, one, *_, proj) in BN_INCEPTION.items():
        name = f"inception_{block}"
        stride = 1 if one else 2
        parts = [conv(x, f"{name}_1x1")] if one else []
        parts.append(conv(conv(x, f"{name}_3x3_reduce"), f"{name}_3x3", stride))
        double = conv(conv(x, f"{name}_double_3x3_reduce"), f"{name}_double_3x3_1")
        parts.append(conv(double, f"{name}_double_3x3_2", stride))
        if not proj:
            parts.append(F.max_pool2d(x, 3, 2, ceil_mode=True))
        elif block == "5b":
            parts.append(conv(F.max_pool2d(x, 3, 1, 1), f"{name}_pool_proj"))
        else:
            parts.append(conv(F.avg_pool2d(x, 3, 1, 1), f"{name}_pool_proj"))
        x = torch.cat(parts, dim=1)
    return x.mean((2, 3)) @ state[f"{fc}.weight"].T + state[f"{fc}.bias"]
