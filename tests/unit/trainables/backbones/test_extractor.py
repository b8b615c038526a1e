"""Features of whole videos, against one snippet at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from public_networks import (
    PYTORCHVIDEO,
    X3D_M,
    bn_inception_shapes,
    c3d_shapes,
    i3d_shapes,
    random_state,
    x3d_shapes,
)

from trainables.backbones.extractor import ExtractionSettings, SnippetExtractor
from trainables.backbones.flow import quantise_flow, tvl1_flow
from trainables.backbones.presets import PRESETS


class Video:
    """Noise that is the same for the same index; tells how many frames were read at once."""

    def __init__(self, num_frames: int, fps: float = 30.0, size: tuple[int, int] = (40, 48)) -> None:
        self.num_frames, self.fps, self._size = num_frames, fps, size
        self.largest_read = 0

    def frames(self, indices: np.ndarray) -> np.ndarray:
        assert indices.min() >= 0
        assert indices.max() < self.num_frames
        self.largest_read = max(self.largest_read, len(indices))
        return np.stack([self._frame(int(i)) for i in indices])

    def _frame(self, index: int) -> np.ndarray:
        base = np.random.default_rng(3).integers(0, 256, (*self._size, 3), dtype=np.uint8)
        return np.roll(base, index, axis=1)


def _settings(backbone: str, **changes: Any) -> ExtractionSettings:
    return ExtractionSettings(backbone, random_seed=0, **changes)


def test_snippets_against_one_at_a_time() -> None:
    settings = _settings("i3d_rgb", crop=32, snippet_len_frames=9, snippet_stride_frames=5, batch_size=3)
    extractor = SnippetExtractor(settings)
    video = Video(23)
    features = extractor(video)
    assert features.shape == (5, 1024)
    assert features.dtype == np.float32
    (stream,) = settings.preset().streams
    torch.manual_seed(0)
    network = stream.build(None).eval()
    for t in range(5):
        frames = np.stack([video._frame(min(max(5 * t - 2 + k, 0), 22)) for k in range(9)])
        small = stream.preprocess.centre_crop(stream.preprocess.resize(frames))
        clip = stream.preprocess.normalise(torch.from_numpy(small.copy())).permute(3, 0, 1, 2)[None]
        with torch.no_grad():
            expected = network(clip)[0].mean(dim=(1, 2, 3)).numpy()
        np.testing.assert_allclose(features[t], expected, rtol=1e-3, atol=1e-6 * np.abs(expected).max())
    assert np.ptp(features, axis=0).max() > 0


@pytest.mark.parametrize("batch_size", [1, 2, 50])
def test_the_batch_changes_only_the_last_digits(batch_size: int) -> None:
    changes = {"crop": 32, "endpoint": "conv5b", "snippet_len_frames": 8, "snippet_stride_frames": 6}
    one = SnippetExtractor(_settings("c3d", batch_size=4, **changes))(Video(40))
    other = SnippetExtractor(_settings("c3d", batch_size=batch_size, **changes))(Video(40))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(one).max())


def test_the_same_again_is_the_same() -> None:
    settings = _settings("c3d", crop=32, endpoint="conv5b")
    assert np.array_equal(SnippetExtractor(settings)(Video(50)), SnippetExtractor(settings)(Video(50)))


def test_random_weights_leave_the_callers_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    SnippetExtractor(_settings("c3d", crop=32, endpoint="conv5b"))
    assert torch.equal(torch.rand(3), expected)


def test_another_frame_rate() -> None:
    changes = {"crop": 32, "endpoint": "pool2", "snippet_len_frames": 8, "snippet_stride_frames": 8}
    slow = SnippetExtractor(_settings("c3d", fps=10.0, **changes))
    assert slow(Video(240)).shape == (10, 128)
    assert slow.snippet_seconds(30.0) == pytest.approx(0.8)
    assert SnippetExtractor(_settings("c3d", **changes)).snippet_seconds(25.0) == pytest.approx(8 / 25)


def test_a_feature_for_every_frame_of_a_video() -> None:
    """Parts of a video go through the network by themselves, and no part is completed with repeated frames."""
    settings = _settings("x3d_charades", crop=32, endpoint="pool", fps=10.0, snippet_len_frames=8)
    extractor = SnippetExtractor(settings)
    assert extractor.feat_dim == 432
    assert extractor.snippet_seconds(30.0) == pytest.approx(0.1)
    assert extractor.identity()["every_frame"] is True
    assert "every_frame" not in SnippetExtractor(_settings("c3d", crop=32, endpoint="pool1")).identity()
    video = Video(60, fps=30.0)
    features = extractor(video)
    assert features.shape == (20, 432)
    (stream,) = settings.preset().streams
    torch.manual_seed(0)
    network = stream.build(None).eval()
    for start, stop in ((0, 8), (8, 16), (16, 20)):
        frames = stream.preprocess.resize(np.stack([video._frame(3 * j + 1) for j in range(start, stop)]))
        shown = torch.from_numpy(np.ascontiguousarray(stream.preprocess.centre_crop(frames)))
        clip = stream.preprocess.normalise(shown).permute(3, 0, 1, 2)[None]
        with torch.no_grad():
            expected = network.collect(clip, ("pool",))["pool"][0, :, :, 0, 0].T.numpy()
        np.testing.assert_allclose(features[start:stop], expected, rtol=1e-3, atol=1e-6 * np.abs(expected).max())
    with pytest.raises(ValueError, match="snippet_stride_frames: 2; x3d_charades has a feature for every frame"):
        _settings("x3d_charades", snippet_stride_frames=2).preset()


def test_few_frames_are_in_memory_at_once() -> None:
    video = Video(300)
    SnippetExtractor(_settings("c3d", crop=32, endpoint="pool1", batch_size=16))(video)
    assert video.largest_read <= 32


def test_flow_repeats_its_last_field_and_does_not_depend_on_batches() -> None:
    pytest.importorskip("cv2.optflow", reason="optical flow is an optional part of the installation")
    settings = _settings("i3d_flow", crop=32, endpoint="Conv3d_1a_7x7", snippet_len_frames=4, snippet_stride_frames=4)
    video = Video(10)
    features = SnippetExtractor(settings)(video)
    (stream,) = settings.preset().streams
    resized = stream.preprocess.resize(video.frames(np.arange(10)))
    fields = quantise_flow(tvl1_flow(resized))
    torch.manual_seed(0)
    network = stream.build(None).eval()
    for t, places in enumerate(([0, 1, 2, 3], [4, 5, 6, 7], [8, 8, 8, 8])):
        images = np.ascontiguousarray(stream.preprocess.centre_crop(fields)[places])
        clip = stream.preprocess.normalise(torch.from_numpy(images)).permute(3, 0, 1, 2)[None]
        with torch.no_grad():
            expected = network.collect(clip, (stream.endpoint,))[stream.endpoint][0].mean(dim=(1, 2, 3)).numpy()
        np.testing.assert_allclose(features[t], expected, rtol=1e-3, atol=1e-6)
    alone = SnippetExtractor(ExtractionSettings(**{**vars(settings), "batch_size": 1}))(video)
    np.testing.assert_allclose(alone, features, rtol=1e-4, atol=1e-6)


def test_two_streams_side_by_side() -> None:
    pytest.importorskip("cv2.optflow", reason="optical flow is an optional part of the installation")
    changes = {"crop": 32, "snippet_len_frames": 6, "snippet_stride_frames": 6}
    both = SnippetExtractor(_settings("tsn", **changes))
    features = both(Video(13))
    assert both.feat_dim == 2048
    assert features.shape == (3, 2048)
    rgb = SnippetExtractor(_settings("tsn_rgb", **changes))(Video(13))
    assert np.array_equal(features[:, :1024], rgb)


def _files(folder: Path, *states: dict[str, torch.Tensor]) -> tuple[Path, ...]:
    paths = tuple(folder / f"{i}.pt" for i in range(len(states)))
    for path, state in zip(paths, states, strict=True):
        torch.save(state, path)
    return paths


def test_weights_of_both_streams(tmp_path: Path) -> None:
    pytest.importorskip("cv2.optflow", reason="optical flow is an optional part of the installation")
    weights = _files(tmp_path, random_state(i3d_shapes(3)), random_state(i3d_shapes(2)))
    extractor = SnippetExtractor(ExtractionSettings("i3d", weights=weights, crop=32))
    assert len(set(extractor.identity()["weights_sha256"])) == 2
    with pytest.raises(ValueError, match="weights: 1 files, i3d takes 2"):
        SnippetExtractor(ExtractionSettings("i3d", weights=weights[:1]))
    with pytest.raises(ValueError, match=r"\(64, 2, 7, 7, 7\), the network has \(64, 3, 7, 7, 7\)"):
        SnippetExtractor(ExtractionSettings("i3d", weights=weights[::-1]))


def test_class_scores_are_as_many_as_the_checkpoint_has(tmp_path: Path) -> None:
    pytest.importorskip("cv2.optflow", reason="optical flow is an optional part of the installation")
    states = [random_state(bn_inception_shapes(c, 20, prefix="base_model.", fc="new_fc")) for c in (3, 10)]
    weights = _files(tmp_path, *states)
    assert SnippetExtractor(ExtractionSettings("tsn_scores", weights=weights)).feat_dim == 40
    headless = [{k: v for k, v in s.items() if not k.startswith("new_fc")} for s in states]
    with pytest.raises(ValueError, match="holds no classifier"):
        SnippetExtractor(ExtractionSettings("tsn_scores", weights=_files(tmp_path, *headless)))


def test_x3d_fits_the_release_its_weights_come_from(tmp_path: Path) -> None:
    weights = _files(tmp_path, random_state(x3d_shapes(PYTORCHVIDEO, X3D_M)))
    assert SnippetExtractor(ExtractionSettings("x3d_m", weights=weights, crop=64)).feat_dim == 2048


def test_c3d_with_sports_1m_weights(tmp_path: Path) -> None:
    weights = _files(tmp_path, random_state(c3d_shapes()))
    assert SnippetExtractor(ExtractionSettings("c3d", weights=weights)).feat_dim == 4096
    weights[0].unlink()


def test_the_identity_tells_extractions_apart() -> None:
    base = _settings("c3d", crop=32, endpoint="conv5b")
    same = _settings("c3d", crop=32, endpoint="conv5b", snippet_len_frames=16, snippet_stride_frames=16)
    identity = SnippetExtractor(base).identity()
    assert SnippetExtractor(same).identity() == identity
    for change in ({"crop": 48}, {"endpoint": "conv5a"}, {"fps": 5.0}, {"snippet_len_frames": 24}, {"batch_size": 2}):
        other = SnippetExtractor(ExtractionSettings(**{**vars(base), **change})).identity()
        assert other != identity, change
    assert SnippetExtractor(ExtractionSettings(**{**vars(base), "random_seed": 1})).identity() != identity


@pytest.mark.parametrize("key", list(PRESETS))
def test_every_preset_is_whole(key: str) -> None:
    preset = PRESETS[key]
    assert [s.input for s in preset.streams] in (["rgb"], ["flow"], ["rgb", "flow"])
    for stream in preset.streams:
        with torch.device("meta"):
            network = stream.build(None)
        assert stream.endpoint in network.endpoints
        assert network.in_channels == len(stream.preprocess.mean) * (stream.stack or 1)


def test_published_feature_widths() -> None:
    widths = {}
    for key, preset in PRESETS.items():
        with torch.device("meta"):
            networks = [s.build(None) for s in preset.streams]
        channels = [n.endpoints[s.endpoint].channels for n, s in zip(networks, preset.streams, strict=True)]
        widths[key] = sum(channels)
    expected = {"c3d": 4096, "i3d": 2048, "afsd_i3d": 2048, "tsn": 2048, "tsn_scores": 202, "x3d_m": 2048}
    assert {key: widths[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"backbone": "i3dd"}, "backbone: 'i3dd' is none of c3d, i3d_rgb"),
        ({"backbone": "c3d", "batch_size": 0}, "batch_size: 0"),
        ({"backbone": "c3d", "endpoint": "pool6"}, "endpoint: 'pool6' is none of conv1a"),
        ({"backbone": "c3d", "crop": 32}, "give 16 frames of 112 x 112"),
        ({"backbone": "c3d", "snippet_len_frames": 12}, "T = 12 is no multiple of 8"),
        ({"backbone": "c3d", "snippet_stride_frames": 0}, "snippet stride: 0"),
        ({"backbone": "c3d", "crop": 8, "endpoint": "conv5b"}, "crop: 8 pixels and snippets of 16 frames are too few"),
        ({"backbone": "tsn", "snippet_len_frames": 4}, "snippet_len_frames: 4, where 5 images are stacked"),
        ({"backbone": "tsn_rgb", "crop": 40}, "H = 40 is no multiple of 32"),
        ({"backbone": "i3d_rgb", "crop": 0}, "crop: 0"),
        ({"backbone": "c3d", "weights": (Path("a"),)}, "files and a random seed are given"),
        ({"backbone": "c3d", "random_seed": None}, r"weights: 0 files, c3d takes 1 \(rgb, in this order\)"),
    ],
)
def test_refused_settings(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        SnippetExtractor(ExtractionSettings(**{"random_seed": 0, **changes}))


def test_videos_that_cannot_be_used() -> None:
    extractor = SnippetExtractor(_settings("c3d", crop=32, endpoint="conv5b"))
    with pytest.raises(ValueError, match="num_frames: 0"):
        extractor(Video(0))

    class Short(Video):
        def frames(self, indices: np.ndarray) -> np.ndarray:
            return super().frames(indices)[:-1]

    with pytest.raises(ValueError, match="frames 0 to 19: got"):
        extractor(Short(20))

    class Burnt(SnippetExtractor):
        def _features(self, *arguments: Any) -> Any:
            return super()._features(*arguments) * np.float32("nan")

    with pytest.raises(ValueError, match="feature of snippet 0 is not finite"):
        Burnt(_settings("c3d", crop=32, endpoint="pool1"))(Video(20))


def test_one_frame_has_no_flow() -> None:
    pytest.importorskip("cv2.optflow", reason="optical flow is an optional part of the installation")
    with pytest.raises(ValueError, match="1 frame; flow needs two or more"):
        SnippetExtractor(_settings("i3d_flow", crop=32))(Video(1))
    assert SnippetExtractor(_settings("i3d_rgb", crop=32))(Video(1)).shape == (1, 1024)
