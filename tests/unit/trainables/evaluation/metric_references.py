"""Slow references of the metrics beside detection mAP: loops over single items, by the texts of the papers."""

from __future__ import annotations

from collections.abc import Sequence

#: (score, positive, weight of its video) in the order of the file.
Item = tuple[float, bool, float]


def plain_ap(items: Sequence[Item]) -> float:
    """Sum of the precision at every positive item over their number; copies of an item share its last rank."""
    seen = true = gained = 0.0
    for _, positive, weight in _ranked(items):
        seen += weight
        if positive and weight:
            true += weight
            gained += weight * true / seen
    return gained / true if true else float("nan")


def normalised_ap(items: Sequence[Item], num_positive: float = 1100.0, num_negative: float = 45000.0) -> float:
    """The same for a class that is given so many positives and negatives."""
    positives = sum(weight for _, positive, weight in items if positive)
    negatives = sum(weight for _, positive, weight in items if not positive)
    true = false = gained = 0.0
    for _, positive, weight in _ranked(items):
        if positive and weight:
            true += weight
            recall, fall_out = true / positives, false / negatives if negatives else 0.0
            gained += weight * num_positive * recall / (num_positive * recall + num_negative * fall_out)
        elif not positive:
            false += weight
    return gained / true if true else float("nan")


def _ranked(items: Sequence[Item]) -> list[Item]:
    return [items[i] for i in sorted(range(len(items)), key=lambda i: (-items[i][0], i))]


def interpolated_ap(marks: Sequence[bool], num_gt: int) -> float:
    """All-points interpolated AP of ranked true and false positives."""
    points = []
    true = 0
    for rank, mark in enumerate(marks, start=1):
        true += mark
        points.append((true / num_gt, true / rank))
    area, reached = 0.0, 0.0
    for i, (recall, _) in enumerate(points):
        if recall > reached:
            area += (recall - reached) * max(precision for _, precision in points[i:])
            reached = recall
    return area


def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - inter
    return inter / union if union else 0.0


Proposal = tuple[float, float, float]


def average_recall(
    videos: Sequence[tuple[Sequence[tuple[float, float]], Sequence[Proposal]]],
    largest: float | None,
    thresholds: Sequence[float],
) -> tuple[list[float], list[float]]:
    """AN and AR of 100 points, proposal by proposal.

    Args:
        videos: (instances, proposals with scores) of every video with instances.
        largest: maximum average number.
        thresholds: tIoU.
    """
    count, total = len(videos), sum(len(proposals) for _, proposals in videos)
    num_gt = sum(len(instances) for instances, _ in videos)
    if total == 0:
        return [0.0] * 100, [0.0] * 100
    largest = total / count if largest is None else largest
    ratio = largest * float(count) / total
    ranked = [[p[i] for i in sorted(range(len(p)), key=lambda i: (-p[i][2], i))] for _, p in videos]
    kept = [p[: min(int(len(p) * ratio), len(p))] for p in ranked]
    num_kept = sum(len(p) for p in kept)
    if num_kept == 0:
        return [0.0] * 100, [0.0] * 100
    numbers, recalls = [], []
    for i in range(1, 101):
        fraction = i / 100.0 * (largest * float(count) / num_kept)
        recalled = 0
        for threshold in thresholds:
            for (instances, _), proposals in zip(videos, kept, strict=True):
                used = proposals[: min(int(len(proposals) * fraction), len(proposals))]
                recalled += sum(any(overlap(p[:2], g) >= threshold for p in used) for g in instances)
        numbers.append(fraction * num_kept / count)
        recalls.append(recalled / len(thresholds) / num_gt)
    return numbers, recalls


def area(numbers: Sequence[float], recalls: Sequence[float]) -> float:
    """Trapezoids between the points over the last number."""
    total = sum((numbers[i] - numbers[i - 1]) * (recalls[i] + recalls[i - 1]) / 2 for i in range(1, len(numbers)))
    return total / numbers[-1] if numbers[-1] else 0.0


Prediction = tuple[str, int, float]


def classification_ap(predictions: Sequence[Prediction], truth: set[tuple[str, int]], label: int) -> float:
    """ActivityNet's: the first prediction of a class on a video that has it is true, all others are false."""
    own = [p for p in predictions if p[1] == label]
    taken, marks = set(), []
    for i in sorted(range(len(own)), key=lambda i: (-own[i][2], i)):
        video = own[i][0]
        marks.append((video, label) in truth and video not in taken)
        taken.add(video)
    return interpolated_ap(marks, sum(c == label for _, c in truth))


def hit_at(predictions: Sequence[Prediction], truth: set[tuple[str, int]], k: int) -> tuple[float, float]:
    """Mean over videos with a class: any of its classes among the k best predictions, share of them."""
    videos = {video for video, _ in truth}
    hits, shares = 0.0, 0.0
    for video in videos:
        own = [p for p in predictions if p[0] == video]
        best = [own[i][1] for i in sorted(range(len(own)), key=lambda i: (-own[i][2], i))][:k]
        labels = [c for v, c in truth if v == video]
        found = sum(label in best for label in labels)
        hits += found > 0
        shares += found / len(labels)
    return hits / len(videos), shares / len(videos)


def segments(labels: Sequence[str], background: Sequence[str]) -> list[tuple[str, int, int]]:
    """Runs of equal labels: label, first frame, frame after the last."""
    runs: list[tuple[str, int, int]] = []
    for frame, label in enumerate(labels):
        if frame and label == labels[frame - 1]:
            runs[-1] = (label, runs[-1][1], frame + 1)
        else:
            runs.append((label, frame, frame + 1))
    return [run for run in runs if run[0] not in background]


def levenshtein(a: Sequence[str], b: Sequence[str]) -> int:
    """Insertions, deletions and substitutions from one sequence to the other, cell by cell."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
    return table[-1][-1]


def segmentation_scores(
    videos: Sequence[tuple[Sequence[str], Sequence[str]]], background: Sequence[str], overlaps: Sequence[float]
) -> list[float]:
    """Accuracy, edit score, F1 at each overlap of (predicted, annotated) videos."""
    correct = sum(a == b for found, truth in videos for a, b in zip(found, truth, strict=True))
    frames = sum(len(truth) for _, truth in videos)
    edits, hits, wrong, missed = [], [0] * len(overlaps), [0] * len(overlaps), [0] * len(overlaps)
    for found, truth in videos:
        p, y = segments(found, background), segments(truth, background)
        longer = max(len(p), len(y))
        edits.append(1 - levenshtein([r[0] for r in p], [r[0] for r in y]) / longer if longer else 1.0)
        for h, least in enumerate(overlaps):
            taken: set[int] = set()
            for label, start, end in p:
                best, choice = 0.0, -1
                for i, (other, s, e) in enumerate(y):
                    tiou = max(0, min(end, e) - max(start, s)) / (max(end, e) - min(start, s))
                    if label == other and tiou > best:
                        best, choice = tiou, i
                if choice >= 0 and best >= least and choice not in taken:
                    taken.add(choice)
                    hits[h] += 1
                else:
                    wrong[h] += 1
            missed[h] += len(y) - len(taken)
    f1 = []
    for tp, fp, fn in zip(hits, wrong, missed, strict=True):
        precision, recall = tp / (tp + fp) if tp else 0.0, tp / (tp + fn) if tp else 0.0
        f1.append(2 * precision * recall / (precision + recall) if tp else 0.0)
    return [correct / frames, sum(edits) / len(edits), *f1]
