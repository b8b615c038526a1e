"""Frames as each network was trained on them: size, crop, channel order, range.

Letters: N frames, H and W pixels, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Frames = npt.NDArray[np.uint8]

#: Frames resized at once: large ones would fill the memory as floats.
_CHUNK = 32


@dataclass(frozen=True)
class Preprocess:
    """Resize, centre crop, channel order, then (value - mean) / std.

    Attributes:
        size: (height, width) that loses the aspect ratio, or the length of the shorter side, pixels.
        crop: side of the square that is cut from the centre, pixels.
        mean: one value a channel, in the network's channel order, on the scale 0 to 255.
        std: the same.
        channel_order: "bgr" reverses the channels of a frame; "given" leaves them.
        interpolation: of the resizing, without antialiasing, as OpenCV's ``resize`` does it.
    """

    size: tuple[int, int] | int
    crop: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: Literal["given", "bgr"] = "given"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def scaled(self, crop: int) -> Preprocess:
        """The same field of view at another crop: the size changes in proportion.

        Raises:
            ValueError: ``crop`` is not positive.
        """
        if crop < 1:
            raise ValueError(f"crop: {crop} must be 1 or more pixels")

        def scale(length: int) -> int:
            return max(crop, round(length * crop / self.crop))

        size = scale(self.size) if isinstance(self.size, int) else (scale(self.size[0]), scale(self.size[1]))
        return replace(self, size=size, crop=crop)

    def resize(self, frames: Frames) -> Frames:
        """(N, H, W, C) -> (N, H', W', C), rounded to whole grey values.

        Raises:
            ValueError: a frame without pixels.
        """
        height, width = self._target(*frames.shape[1:3])
        if (height, width) == frames.shape[1:3]:
            return frames
        parts = [self._resized(frames[i : i + _CHUNK], height, width) for i in range(0, len(frames), _CHUNK)]
        return np.concatenate(parts)

    def _resized(self, frames: Frames, height: int, width: int) -> Frames:
        images = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
        images = F.interpolate(images, (height, width), mode=self.interpolation, align_corners=False)
        result: Frames = images.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        return result

    def centre_crop(self, frames: Frames) -> Frames:
        """(N, H, W, C) -> (N, crop, crop, C), a view; an odd margin leaves the larger half below and on the right."""
        top, left = ((length - self.crop) // 2 for length in frames.shape[1:3])
        return frames[:, top : top + self.crop, left : left + self.crop]

    def normalise(self, frames: Tensor) -> Tensor:
        """(..., C) uint8 in the given channel order -> (..., C) float32 in the network's.

        Raises:
            ValueError: the channels are not as many as ``mean``.
        """
        if frames.shape[-1] != len(self.mean):
            raise ValueError(f"frames: {frames.shape[-1]} channels, the network takes {len(self.mean)}")
        values = frames.flip(-1) if self.channel_order == "bgr" else frames
        mean, std = (torch.tensor(v, dtype=torch.float32, device=frames.device) for v in (self.mean, self.std))
        return (values.float() - mean) / std

    def _target(self, height: int, width: int) -> tuple[int, int]:
        if height < 1 or width < 1:
            raise ValueError(f"frames: {height} x {width} pixels; a frame has some")
        if not isinstance(self.size, int):
            return self.size
        if height < width:
            return self.size, round(width * self.size / height)
        return round(height * self.size / width), self.size


def _rgb(scale: float, mean: float, std: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return (scale * mean,) * 3, (scale * std,) * 3


_KINETICS_MEAN, _KINETICS_STD = _rgb(255, 0.45, 0.225)
_SIGNED = 127.5

#: VisionLearningGroup/R-C3D:lib/utils/blob.py and lib/tdcnn/config.py: 171 x 128, BGR means (90, 98, 102), no scale.
C3D_RGB = Preprocess((128, 171), 112, (90.0, 98.0, 102.0), (1.0, 1.0, 1.0), "bgr")

#: Carreira and Zisserman 2017, section 2.5 (shorter side 256, 224 x 224) and piergiaj/pytorch-i3d:charades_dataset.py
#: (range [-1, 1] by x / 255 * 2 - 1).
I3D_RGB = Preprocess(256, 224, (_SIGNED,) * 3, (_SIGNED,) * 3)
I3D_FLOW = Preprocess(256, 224, (_SIGNED,) * 2, (_SIGNED,) * 2)

#: TencentYoutuResearch/ActionDetection-AFSD:AFSD/common/video2npy.py: 112 x 112 bicubic, 96 x 96 crop, [-1, 1].
AFSD_RGB = Preprocess((112, 112), 96, (_SIGNED,) * 3, (_SIGNED,) * 3, interpolation="bicubic")
AFSD_FLOW = Preprocess((112, 112), 96, (_SIGNED,) * 2, (_SIGNED,) * 2, interpolation="bicubic")

#: facebookresearch/SlowFast:slowfast/config/defaults.py (mean 0.45, deviation 0.225 of values in [0, 1]) and the
#: crops of configs/Kinetics/X3D_{S,M,L}.yaml (train).
X3D_S_RGB = Preprocess(182, 160, _KINETICS_MEAN, _KINETICS_STD)
X3D_M_RGB = Preprocess(256, 224, _KINETICS_MEAN, _KINETICS_STD)
X3D_L_RGB = Preprocess(356, 312, _KINETICS_MEAN, _KINETICS_STD)

#: kkahatapitiya/SSDet:train_x3d_charades_loc.py: the centre square of a frame at 224 x 224, colours of Charades.
X3D_CHARADES_RGB = Preprocess(
    224, 224, (255 * 0.413, 255 * 0.368, 255 * 0.338), (255 * 0.131, 255 * 0.125, 255 * 0.132)
)

#: yjxiong/tsn-pytorch:models.py and yjxiong/anet2016-cuhk:pyActionRec/action_classifier.py: 340 x 256, 224 x 224 crop,
#: BGR means (104, 117, 128), flow centred at 128, no scale.
TSN_RGB = Preprocess((256, 340), 224, (104.0, 117.0, 128.0), (1.0, 1.0, 1.0), "bgr")
TSN_FLOW = Preprocess((256, 340), 224, (128.0, 128.0), (1.0, 1.0))
