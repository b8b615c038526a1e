"""A folder of annotated videos as a data set that hands out frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trainables.data.batches.labelled import LabelledVideos
from trainables.data.batches.passes import Pass
from trainables.data.frames.folder import Damaged, check_clips, open_folder, trimmed_folder
from trainables.data.frames.loader import FramesVideo, frame_input, load_frame_batches
from trainables.data.schema import TRIMMED
from trainables.data.video.reader import VideoReader
from trainables.data.video.sampling import as_rate
from trainables.records import Batch


class FrameDataset(LabelledVideos):
    """Videos whose frames are decoded when they are wanted, in a process of this data set's own.

    Args:
        folder: of the data set, prepared.
        damaged: what to do with videos that cannot be read.
        permute_labels_seed: exchange the annotations of the training videos, and of the trimmed clips (a control whose
            score must be near chance); None = leave them.
        overfit: select and test are the training videos (a control that says what a model can memorise).
    """

    def __init__(
        self,
        folder: Path,
        *,
        damaged: Damaged = "error",
        permute_labels_seed: int | None = None,
        overfit: bool = False,
    ) -> None:
        self._folder = open_folder(folder, damaged)
        clips = trimmed_folder(folder)
        self._trimmed: FrameDataset | None = None
        if clips is not None:
            self._trimmed = FrameDataset(clips, damaged=damaged, permute_labels_seed=permute_labels_seed)
            check_clips(self._folder, self._trimmed._folder)
        super().__init__(
            self._folder.videos,
            self._folder.class_names,
            permute_labels_seed=permute_labels_seed,
            overfit=overfit,
        )
        self._reader = VideoReader()

    @property
    def feat_dim(self) -> int:
        """C: red, green and blue."""
        return 3

    def _batches(self, split: str, wanted: Pass) -> Iterator[Batch]:
        if split == TRIMMED:
            if self._trimmed is None:
                raise ValueError(f"split '{TRIMMED}': {self._folder.folder} has no trimmed clips")
            return self._trimmed._batches("train", wanted)
        fps = frame_input(wanted.sampling).fps
        videos = [self._labelled(index, fps) for index in self._of(split)]
        return load_frame_batches(videos, len(self.class_names), self._reader, wanted)

    def _labelled(self, index: int, fps: float) -> FramesVideo:
        video, file, rate = self._folder.videos[index], self._folder.files[index], as_rate(fps)
        segments_s, labels = self._instances(index)
        path = self._folder.folder / file.file
        return FramesVideo(video.video_id, path, rate, file.frames_at_rate(rate), segments_s, labels)
