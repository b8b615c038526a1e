"""Textbook versions of the protocols, one detection at a time: slow, and independent of the code under test."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trainables.detections import Detections, GroundTruth

Segment = tuple[float, float]
Truth = dict[str, list[Segment]]  # video -> segments in file order, one class
Found = list[tuple[str, float, float, float]]  # video, start, end, score, in file order, one class


@dataclass
class Case:
    """Any number of classes, in file order.

    Attributes:
        videos: ids.
        gt: (video, start, end, class).
        found: (video, start, end, class, score).
        ambiguous: (video, start, end).
    """

    videos: tuple[str, ...]
    gt: list[tuple[str, float, float, int]]
    found: list[tuple[str, float, float, int, float]]
    ambiguous: list[tuple[str, float, float]] = field(default_factory=list)
    num_classes: int = 1

    def of_class(self, label: int) -> tuple[Truth, Found]:
        truth: Truth = {}
        for video, start, end, owner in self.gt:
            if owner == label:
                truth.setdefault(video, []).append((start, end))
        return truth, [(v, s, e, score) for v, s, e, owner, score in self.found if owner == label]

    def arrays(self) -> tuple[Detections, GroundTruth]:
        """As the code under test takes them."""
        index = {v: i for i, v in enumerate(self.videos)}

        def columns(rows: list[tuple]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
            video = np.array([index[r[0]] for r in rows], np.int64)
            labels = np.array([r[3] if len(r) > 3 else 0 for r in rows], np.int64)
            return video, np.array([r[1:3] for r in rows], np.float64).reshape(-1, 2), labels

        video, segments, labels = columns(self.found)
        scores = np.array([r[4] for r in self.found], np.float64)
        gt_video, gt_segments, gt_labels = columns(self.gt)
        extra_video, extra, _ = columns(self.ambiguous)
        names = tuple(f"c{i}" for i in range(self.num_classes))
        return (
            Detections(self.videos, video, segments, labels, scores),
            GroundTruth(self.videos, names, gt_video, gt_segments, gt_labels, extra_video, extra),
        )

    def repeated(self, weights: list[int]) -> Case:
        """Every video as often as its weight says, each row beside its copies."""
        copies = {v: [f"{v}#{k}" for k in range(w)] for v, w in zip(self.videos, weights, strict=True)}
        return Case(
            videos=tuple(c for v in self.videos for c in copies[v]),
            gt=[(c, *row[1:]) for row in self.gt for c in copies[row[0]]],
            found=[(c, *row[1:]) for row in self.found for c in copies[row[0]]],
            ambiguous=[(c, *row[1:]) for row in self.ambiguous for c in copies[row[0]]],
            num_classes=self.num_classes,
        )


def tiou(a: Segment, b: Segment) -> float:
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - inter
    return inter / union if union > 0 else 0.0


def toolkit_tiou(a: Segment, b: Segment) -> float:
    """The THUMOS'14 toolkit divides by the hull."""
    inter = min(a[1], b[1]) - max(a[0], b[0])
    return inter / (max(a[1], b[1]) - min(a[0], b[0])) if inter > 0 else 0.0


def activitynet_ap(truth: Truth, found: Found, threshold: float) -> float:
    """Interpolated AP; every detection takes the best free segment that reaches the threshold."""
    num_gt = sum(map(len, truth.values()))
    taken: set[tuple[str, int]] = set()
    marks = []
    for video, start, end, _ in sorted(found, key=lambda d: -d[3]):
        segments = truth.get(video, [])
        order = sorted(range(len(segments)), key=lambda i: (tiou((start, end), segments[i]), i), reverse=True)
        hit = False
        for i in order:
            if tiou((start, end), segments[i]) < threshold:
                break
            if (video, i) not in taken:
                taken.add((video, i))
                hit = True
                break
        marks.append(hit)
    precision, recall, tp = [0.0], [0.0], 0
    for k, hit in enumerate(marks, start=1):
        tp += hit
        precision.append(tp / k)
        recall.append(tp / num_gt)
    precision.append(0.0)
    recall.append(1.0)
    for k in range(len(precision) - 2, -1, -1):
        precision[k] = max(precision[k], precision[k + 1])
    return sum((recall[k] - recall[k - 1]) * precision[k] for k in range(1, len(recall)) if recall[k] != recall[k - 1])


def thumos14_ap(truth: Truth, found: Found, threshold: float, ambiguous: Truth) -> float:
    """Plain AP; every segment takes the best free detection above the threshold, video by video in order of names.

    Copies of one detection (videos named ``v#0``, ``v#1``, ...) stand at one rank, that of the last of them.
    """
    num_gt = sum(map(len, truth.values()))
    marks: list[tuple[float, tuple[str, int], bool]] = []  # -score, identity, hit
    for video in sorted({*truth, *(d[0] for d in found)}):
        own = sorted((d for d in found if d[0] == video), key=lambda d: -d[3])
        hit = [False] * len(own)
        for segment in truth.get(video, []):
            best, best_value = -1, -1.0
            for i, d in enumerate(own):
                value = toolkit_tiou(segment, (d[1], d[2]))
                if not hit[i] and value > best_value:
                    best, best_value = i, value
            if best >= 0 and best_value > threshold:
                hit[best] = True
        for i, d in enumerate(own):
            excused = sum(toolkit_tiou(a, (d[1], d[2])) for a in ambiguous.get(video, [])) > 0
            if hit[i] or not excused:
                marks.append((-d[3], (video.split("#")[0], i), hit[i]))
    marks.sort(key=lambda m: m[:2])
    tp, pending, total = 0, 0, 0.0
    for k, (_, identity, is_hit) in enumerate(marks, start=1):
        tp += is_hit
        pending += is_hit
        if k == len(marks) or marks[k][1] != identity:
            total += pending * tp / k
            pending = 0
    return total / num_gt


def wtalc_ap(truth: Truth, found: Found, threshold: float, ambiguous: Truth) -> float:
    """Plain AP on sets of whole snippets; every detection takes the first free instance that reaches the threshold.

    Copies of one detection stand at one rank, as above.
    """

    def snippets(segment: Segment) -> set[int]:
        return set(range(round(segment[0] * 25 / 16), round(segment[1] * 25 / 16)))

    num_gt = sum(map(len, truth.values()))
    free = {video: [snippets(s) for s in segments] for video, segments in truth.items()}
    tp, rank, pending, total, last = 0, 0, 0, 0.0, None
    of_video: dict[str, list[int]] = {}
    for number, d in enumerate(found):
        of_video.setdefault(d[0], []).append(number)
    kept = [
        (d, (d[0].split("#")[0], of_video[d[0]].index(number)))
        for number, d in enumerate(found)
        if not any(snippets(a) & snippets(d[1:3]) for a in ambiguous.get(d[0], []))
    ]
    for (video, start, end, _), identity in sorted(kept, key=lambda d: -d[0][3]):
        if identity != last:
            total += pending * tp / rank if rank else 0.0
            pending, last = 0, identity
        rank += 1
        own = snippets((start, end))
        for i, other in enumerate(free.get(video, [])):
            if own | other and len(own & other) / len(own | other) >= threshold:
                del free[video][i]
                tp += 1
                pending += 1
                break
    return (total + (pending * tp / rank if rank else 0.0)) / num_gt


def distinct(truth: Truth) -> Truth:
    """Without instances within a millisecond of an earlier kept one."""
    kept: Truth = {}
    for video, segments in truth.items():
        own = kept.setdefault(video, [])
        for s in segments:
            if not any(abs(s[0] - o[0]) <= 1e-3 and abs(s[1] - o[1]) <= 1e-3 for o in own):
                own.append(s)
    return kept


def recall_at(truth: Truth, found: Found, multiple: int, threshold: float) -> float:
    """Share of instances that one of the best ``multiple * n`` detections of their video reaches."""
    hits = 0
    for video, segments in truth.items():
        best = sorted((d for d in found if d[0] == video), key=lambda d: -d[3])[: multiple * len(segments)]
        hits += sum(any(tiou(s, d[1:3]) >= threshold for d in best) for s in segments)
    return hits / sum(map(len, truth.values()))


def mean_ap(case: Case, protocol: str, threshold: float) -> float:
    """Mean over the classes with ground truth."""
    values = []
    for label in range(case.num_classes):
        truth, found = case.of_class(label)
        if not truth:
            continue
        ambiguous: Truth = {}
        for video, start, end in case.ambiguous:
            ambiguous.setdefault(video, []).append((start, end))
        if protocol in ("activitynet", "afsd"):
            annotated = {row[0] for row in case.gt} if protocol == "afsd" else set(case.videos)
            values.append(activitynet_ap(truth, [d for d in found if d[0] in annotated], threshold))
        elif protocol == "opentad":
            values.append(activitynet_ap(distinct(truth), found, threshold))
        elif protocol == "wtalc":
            values.append(wtalc_ap(truth, found, threshold, ambiguous))
        else:
            values.append(thumos14_ap(truth, found, threshold, ambiguous))
    return sum(values) / len(values)
