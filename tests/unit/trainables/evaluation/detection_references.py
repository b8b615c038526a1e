"""Textbook versions of the protocols, one detection at a time: slow, and independent of the code under test."""

from __future__ import annotations

from collections.abc import Sequence

Segment = tuple[float, float]
Truth = dict[str, list[Segment]]  # video -> segments, one class
Found = list[tuple[str, float, float, float]]  # video, start, end, score, in file order


def tiou(a: Segment, b: Segment) -> float:
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - inter
    return inter / union if union > 0 else 0.0


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
    """Plain AP; every segment takes the best free detection above the threshold, video by video."""
    num_gt = sum(map(len, truth.values()))
    marked: list[tuple[float, int, bool]] = []
    videos: Sequence[str] = sorted({*truth, *(d[0] for d in found)})
    for video in videos:
        own = [(n, d) for n, d in enumerate(found) if d[0] == video]
        own.sort(key=lambda pair: -pair[1][3])
        hit = [False] * len(own)
        for segment in truth.get(video, []):
            best, best_value = -1, -1.0
            for i, (_, d) in enumerate(own):
                value = tiou((d[1], d[2]), segment)
                if not hit[i] and value > best_value:
                    best, best_value = i, value
            if best >= 0 and best_value > threshold:
                hit[best] = True
        for i, (n, d) in enumerate(own):
            excused = any(tiou((d[1], d[2]), a) > 0 for a in ambiguous.get(video, []))
            if hit[i] or not excused:
                marked.append((d[3], n, hit[i]))
    marked.sort(key=lambda m: (-m[0], m[1]))
    tp, total = 0, 0.0
    for k, (_, _, is_hit) in enumerate(marked, start=1):
        tp += is_hit
        total += tp / k if is_hit else 0.0
    return total / num_gt
