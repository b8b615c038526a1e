"""Regression with a learnt variance: the divergence of a certain target from a predicted Gaussian."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from trainables.losses.smooth_l1 import smooth_l1

#: The log-variance is kept within [-10, 10], so that its exponential stays finite.
_LOG_VARIANCE_LIMIT = 10.0


def gaussian_kl(error: Tensor, log_variance: Tensor, *, tail: Literal["smooth", "gaussian"] = "smooth") -> Tensor:
    """exp(-alpha) h(D) + alpha / 2, with alpha = ln sigma^2; no reduction. It can be negative.

    Source: Three Birds Eqs. (3), (4) and (7) without their constants, in the log-variance form of He et al. 2019,
    arXiv:1809.08545, Eqs. (9) and (10). h(D) = D^2 / 2; with the smooth tail, |D| - 1/2 where |D| > 1. At its optimum
    exp(alpha) = 2 h(D).

    Args:
        error: D, predicted minus true offset in units of the normalising deviation, any shape.
        log_variance: alpha, same shape.
        tail: see above.

    Returns:
        same shape, unitless.
    """
    alpha = log_variance.clamp(-_LOG_VARIANCE_LIMIT, _LOG_VARIANCE_LIMIT)
    distance = smooth_l1(error, sigma=1.0) if tail == "smooth" else 0.5 * error.square()
    return distance * (-alpha).exp() + 0.5 * alpha


def deviation(log_variance: Tensor) -> Tensor:
    """sigma = exp(alpha / 2), within the same limits."""
    return (0.5 * log_variance.clamp(-_LOG_VARIANCE_LIMIT, _LOG_VARIANCE_LIMIT)).exp()
