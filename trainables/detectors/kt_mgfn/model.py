"""The network of KT-MGFN: cascaded dilated classifiers with erasing, and boundary regression."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainables.config import Sampling
from trainables.contracts import Inputs
from trainables.detections import Detections
from trainables.detectors.kt_mgfn.config import Brm, Config, Ktm
from trainables.detectors.kt_mgfn.detect import detect_segments
from trainables.detectors.kt_mgfn.length_prior import fit_lengths, flat_prior, log_length_density
from trainables.detectors.kt_mgfn.regressor import BoundaryRegressor
from trainables.detectors.kt_mgfn.selection import select
from trainables.layers.anchors import clip_to_video, decode_anchors
from trainables.layers.cas import CasNorm, erased_positions, normalise_cas
from trainables.layers.dilated import Classified, DilatedClassifier
from trainables.layers.nms import Decay, suppress
from trainables.losses.oic import oic_loss
from trainables.losses.transfer import TransferLoss
from trainables.records import Batch, Outputs, RawOutput, SegmentView

#: Whole videos, as little of their features as can be: their segments are what is asked for.
_ANNOTATIONS = Sampling("uniform", "uniform", 4)


class KtMgfn(nn.Module):
    """Learns from video labels alone; reads no boundary unless ``regression.length_prior`` asks for it.

    Args:
        feat_dim: C.
        num_classes: K.
        width: of the classifiers.
        layers: convolutions before the branches.
        kernel: their size.
        dropout: on the features.
        dilations: a branch each.
        per_branch_head: every branch has a classifier of its own, or all of a stage share one.
        num_stages: classifiers; the second and later ones see features without what was found before.
        xi_era: erasing threshold.
        test_class_prob: at test, classes whose evidence is erased.
        cas_norm: how the CAS comes to [0, 1].
        branch_reduction: of the classification loss over branches.
        regression: settings of the boundary regression, None = there is none.
        transfer: settings of the knowledge transfer, None = there is none.
        theta_nms: tIoU of the suppression of training segments.
        epsilon: its decay, for ``train_nms = soft_weight``.
    """

    def __init__(
        self,
        *,
        feat_dim: int,
        num_classes: int,
        width: int,
        layers: int,
        kernel: int,
        dropout: float,
        dilations: tuple[int, ...],
        per_branch_head: bool,
        num_stages: int,
        xi_era: float,
        test_class_prob: float,
        cas_norm: CasNorm,
        branch_reduction: str,
        regression: Brm | None,
        transfer: Ktm | None,
        theta_nms: float,
        epsilon: float,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            DilatedClassifier(
                feat_dim=feat_dim,
                num_classes=num_classes,
                width=width,
                layers=layers,
                kernel=kernel,
                dropout=dropout,
                dilations=dilations,
                per_branch_head=per_branch_head,
            )
            for _ in range(num_stages)
        )
        self._xi_era, self._test_class_prob = xi_era, test_class_prob
        self._cas_norm: CasNorm = cas_norm
        self._branch_reduction = branch_reduction
        self._regression = regression
        self._theta_nms, self._epsilon = theta_nms, epsilon
        if regression is not None:
            self.regressor = BoundaryRegressor(
                feat_dim=feat_dim,
                width=regression.width,
                num_anchors=len(regression.anchors),
                batch_norm=regression.batch_norm,
            )
        with_prior = regression is not None and regression.length_prior == "class_gaussian"
        self.length_prior: Tensor | None
        self.register_buffer("length_prior", flat_prior(num_classes) if with_prior else None)
        self.transfer, self._clips = None, None
        if transfer is not None:
            self._init_from_trimmed, self._clips = transfer.init_from_trimmed, transfer.sampling()
            self.transfer = TransferLoss(num_trimmed=transfer.n_trimmed, kernel=transfer.kernel, scope=transfer.scope)

    def forward(self, batch: Batch) -> Outputs:
        """Class evidence of both kinds, and offsets of every anchor."""
        if batch.feats is None:
            raise ValueError("kt_mgfn reads pre-extracted features; the batch has none")
        feats, valid = batch.feats, batch.valid_mask
        results, probs = self._cascade(feats, valid, batch.video_labels)
        cas_probs = torch.stack(probs).amax(dim=0)
        logits = torch.stack([r.logits for r in results])  # (S, N, B, K)
        video_logits = logits.mean(dim=(0, 1))
        raw = {"cas": cas_probs.detach(), "class_probs": torch.sigmoid(video_logits.detach())}
        terms = {"logits": logits, "cas": cas_probs, "pooled": _pooled(results)}
        view = None
        if self._regression is not None:
            offsets = self.regressor(feats, valid)
            raw["offsets"] = offsets.detach()
            terms["offsets"] = offsets
            if self.length_prior is not None:
                raw["length_prior"] = self.length_prior.expand(len(valid), -1, -1)
            if self.training and batch.video_labels is not None:
                view = self._training_segments(cas_probs.detach(), offsets, batch.video_labels, batch)
        return Outputs(
            valid_mask=valid,
            feats=results[0].feats,
            cas_logits=torch.stack([r.cas for r in results]).mean(dim=0),
            video_logits=video_logits,
            segments=view,
            raw=raw,
            terms=terms,
        )

    def _cascade(
        self, feats: Tensor, valid: Tensor, video_labels: Tensor | None
    ) -> tuple[list[Classified], list[Tensor]]:
        """Every stage on the features without what the earlier ones found (III-C, erasing at the input)."""
        erased = torch.zeros_like(valid)
        results: list[Classified] = []
        probs: list[Tensor] = []
        classes: Tensor | None = None
        for stage in self.stages:
            result: Classified = stage(feats * ~erased[:, None], valid)
            results.append(result)
            probs.append(normalise_cas(result.cas, valid, self._cas_norm))
            if classes is None:
                classes = self._classes(result.logits, video_labels)
            erased = erased | erased_positions(probs[-1], classes, valid, self._xi_era)
        return results, probs

    def _classes(self, logits: Tensor, video_labels: Tensor | None) -> Tensor:
        """(B, K) classes whose evidence is erased: the labelled ones in training, the likely ones at test."""
        if self.training and video_labels is not None:
            return video_labels > 0
        probs = torch.sigmoid(logits.detach().mean(dim=0))
        likely = probs >= self._test_class_prob
        best = nn.functional.one_hot(probs.argmax(dim=1), probs.shape[1]).bool()
        return torch.where(likely.any(dim=1, keepdim=True), likely, best)

    def _training_segments(self, cas_probs: Tensor, offsets: Tensor, video_labels: Tensor, batch: Batch) -> SegmentView:
        """Segments that train the regressor (III-E), with gradient in their ends."""
        settings = self._regression
        assert settings is not None, "only called with boundary regression"
        video, label = torch.nonzero(video_labels > 0, as_tuple=True)
        anchors = torch.tensor(settings.anchors, device=offsets.device, dtype=offsets.dtype)
        segments = clip_to_video(decode_anchors(offsets, anchors), batch.valid_mask.sum(dim=1))  # (B, M, T, 2)
        own, log_prior = segments.detach()[video], None
        if self.length_prior is not None:
            seconds = batch.seconds_per_sample.to(offsets)[video]
            log_prior = log_length_density(own, seconds, self.length_prior[label])
        found = select(
            cas_probs[video, label],
            own,
            cas_thr=settings.cas_thr,
            oic_keep=settings.oic_keep,
            gamma=settings.gamma,
            outer_min=settings.outer_min,
            oic_mode=settings.oic_mode,
            log_prior=log_prior,
        )
        weight = torch.ones_like(found.oic)
        order = torch.arange(len(found.oic), device=offsets.device)
        if settings.train_nms != "none" and len(order):
            decay: Decay = "hard" if settings.train_nms == "hard" else "truncated_gaussian"
            scores = (1.0 - found.oic).clamp(min=0.0)  # rounding may put a loss above 1
            order, final = suppress(
                found.ends, scores, found.sequence, decay=decay, tiou_threshold=self._theta_nms, sigma=self._epsilon
            )
            weight = final / scores[order]
        row = found.sequence[order]
        return SegmentView(
            input_index=video[row],
            ends_grid=segments[video[row], found.anchor[order], found.position[order]],
            labels=label[row],
            scores=weight,
        )

    def losses(self, outputs: Outputs, batch: Batch, active: Collection[str]) -> Mapping[str, Tensor]:
        """``class``: Eq. (1) with the negative classes; ``oic``: Eq. (2), corrected; ``kt``: Eq. (3).

        Raises:
            ValueError: a name that this configuration does not have.
        """
        known = {"class": self._class_loss}
        known |= {"oic": self._oic_loss} if self._regression is not None else {}
        known |= {"kt": self._transfer_loss} if self.transfer is not None else {}
        unknown = sorted(set(active) - known.keys())
        if unknown:
            raise ValueError(f"no loss {', '.join(unknown)}; this configuration has {', '.join(known)}")
        return {name: known[name](outputs, batch) for name in active}

    def _class_loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Sum over stages, mean (or sum) over branches, mean over videos and classes."""
        if batch.video_labels is None:
            raise ValueError("the classification loss needs video labels; the batch has none")
        logits = outputs.terms["logits"]
        target = batch.video_labels.to(logits.dtype).expand_as(logits)
        each = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=(2, 3))
        return (each.mean(dim=1) if self._branch_reduction == "mean" else each.sum(dim=1)).sum()

    def _oic_loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Mean over videos of the sum (or mean) over their surviving segments; 0 where none survives."""
        settings, view = self._regression, outputs.segments
        if settings is None or view is None:
            raise ValueError("the OIC loss needs boundary regression, training mode and video labels")
        cas = outputs.terms["cas"] if settings.grad_to_cas else outputs.terms["cas"].detach()
        if len(view.labels) == 0:
            return outputs.terms["offsets"].sum() * 0.0
        values = oic_loss(
            cas[view.input_index, view.labels],
            view.ends_grid[:, :1],
            view.ends_grid[:, 1:],
            gamma=settings.gamma,
            outer_min=settings.outer_min,
            mode=settings.oic_mode,
        )[:, 0]
        per_video = values.new_zeros(len(batch.video_ids)).index_add(0, view.input_index, values * view.scores)
        if settings.reduction == "mean":
            counts = torch.bincount(view.input_index, minlength=len(batch.video_ids)).clamp(min=1)
            per_video = per_video / counts
        return per_video.mean()

    def _transfer_loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        if self.transfer is None or batch.video_labels is None:
            raise ValueError("the knowledge transfer loss needs a bank of trimmed clips and video labels")
        value: Tensor = self.transfer(outputs.terms["pooled"], batch.video_labels)
        return value

    @torch.no_grad()
    def begin_phase(self, name: str, inputs: Inputs) -> None:
        """Look at data first: the lengths of annotated segments where asked for, and the trimmed clips.

        Before the classifiers meet untrimmed videos, what they learnt of the clips is kept, and they start anew if told
        so.

        Args:
            name: of the phase that begins.
            inputs: all inputs of a split.
        """
        if self.length_prior is not None:
            self.length_prior.copy_(fit_lengths(inputs("train", _ANNOTATIONS), len(self.length_prior)))
        if name != "classify" or self.transfer is None or self._clips is None:
            return
        was_training = self.training
        self.eval()
        self.transfer.fill_from(inputs("trimmed", self._clips), lambda batch: self(batch).terms["pooled"])
        self.train(was_training)
        if not self._init_from_trimmed:
            for module in self.stages.modules():
                if isinstance(module, nn.Conv1d | nn.Linear):
                    module.reset_parameters()

    def detect(self, raw: Sequence[RawOutput], config: Config | Any) -> Detections:
        """Detections of whole videos (III-F)."""
        return detect_segments(raw, config)


def _pooled(results: Sequence[Classified]) -> Tensor:
    """(B, P, W) pooled features of all stages and branches."""
    return torch.cat([result.pooled for result in results]).transpose(0, 1)
