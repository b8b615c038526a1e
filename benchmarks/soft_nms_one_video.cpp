// Baseline of post_processing.py: suppression of the candidates of one video, the textbook way, in single precision.
// Selection by scanning for the maximum, one candidate after another; what falls below the least score is replaced by
// the last candidate. Like the compiled versions in public use, it runs until nothing is left: the cut comes afterwards.

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace {


enum Decay { HARD, LINEAR, GAUSSIAN, TRUNCATED };

float factor(Decay decay, float tiou, float threshold, float sigma) {
    switch (decay) {
        case HARD: return tiou >= threshold ? 0.0f : 1.0f;
        case LINEAR: return tiou >= threshold ? 1.0f - tiou : 1.0f;
        case GAUSSIAN: return std::exp(-(tiou * tiou) / sigma);
        case TRUNCATED: return tiou >= threshold ? std::exp(-(tiou * tiou) / sigma) : 1.0f;
    }
    return 1.0f;
}

template <Decay decay>
int run(const float* segments, const float* scores, int num, float threshold, float slope, float sigma,
        float min_score, int* rows, float* final_scores) {
    std::vector<float> start(num), end(num), length(num), score(scores, scores + num);
    std::vector<int> row(num);
    for (int i = 0; i < num; ++i) {
        start[i] = segments[2 * i];
        end[i] = segments[2 * i + 1];
        length[i] = end[i] - start[i];
        row[i] = i;
    }
    auto exchange = [&](int i, int j) {
        std::swap(start[i], start[j]);
        std::swap(end[i], end[j]);
        std::swap(length[i], length[j]);
        std::swap(score[i], score[j]);
        std::swap(row[i], row[j]);
    };
    for (int i = 0; i < num; ++i) {
        exchange(i, static_cast<int>(std::max_element(score.begin() + i, score.begin() + num) - score.begin()));
        rows[i] = row[i];
        final_scores[i] = score[i];
        const float least = threshold + slope * length[i];
        for (int j = i + 1; j < num;) {
            const float overlap = std::max(0.0f, std::min(end[i], end[j]) - std::max(start[i], start[j]));
            const float tiou = overlap / (length[i] + length[j] - overlap);
            score[j] *= factor(decay, tiou, least, sigma);
            if (score[j] < min_score) {
                exchange(j, --num);
            } else {
                ++j;
            }
        }
    }
    return num;
}

}  // namespace

// Returns how many candidates are kept; their rows and scores come in pick order.
extern "C" int soft_nms_one_video(const float* segments, const float* scores, int num, int decay, float threshold,
                                  float slope, float sigma, float min_score, int* rows, float* final_scores) {
    switch (decay) {
        case HARD: return run<HARD>(segments, scores, num, threshold, slope, sigma, min_score, rows, final_scores);
        case LINEAR: return run<LINEAR>(segments, scores, num, threshold, slope, sigma, min_score, rows, final_scores);
        case GAUSSIAN:
            return run<GAUSSIAN>(segments, scores, num, threshold, slope, sigma, min_score, rows, final_scores);
        default:
            return run<TRUNCATED>(segments, scores, num, threshold, slope, sigma, min_score, rows, final_scores);
    }
}
