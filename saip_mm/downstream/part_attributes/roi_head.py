"""Mask R-CNN's RoI head with attributes."""

from collections.abc import Sequence

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData
from torch import Tensor

from .heads import Parts


@MODELS.register_module()
class PartAttributeRoIHead(StandardRoIHead):
    """Boxes and masks of parts and of humans, and attributes of parts.

    The last class of the box head is ``human``; it is left out of the results.

    Args:
        *args: As for MMDetection's ``StandardRoIHead``.
        attribute_head: Config of :class:`KnowledgeAttributeHead` or
            :class:`AttributeHead`.
        loss_attribute: Config of the loss of attributes.
        max_parts: Largest number of proposals per image whose attributes are trained,
            drawn at random.
        margin: Pixels around all parts in the box that replaces a human not found.
        **kwargs: As for MMDetection's ``StandardRoIHead``.
    """

    def __init__(
        self,
        *args,
        attribute_head: dict,
        loss_attribute: dict,
        max_parts: int = 32,
        margin: int = 10,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.attribute_head = MODELS.build(attribute_head)
        self.loss_attribute = MODELS.build(loss_attribute)
        self.max_parts, self.margin = max_parts, margin

    @property
    def human(self) -> int:
        """Label of humans."""
        return self.bbox_head.num_classes - 1

    def forward(self, x, rpn_results_list, batch_data_samples=None) -> tuple:
        """As in ``StandardRoIHead``, with the logits of as many parts as masks."""
        results = super().forward(x, rpn_results_list, batch_data_samples)
        boxes = [each.bboxes[:100] for each in rpn_results_list]
        labels = [each.new_zeros(len(each), dtype=torch.long) for each in boxes]
        humans = torch.stack([self._around(each) for each in boxes])
        return *results, self.attribute_logits(x, boxes, labels, humans)

    def mask_loss(
        self,
        x: Sequence[Tensor],
        sampling_results: list[SamplingResult],
        bbox_feats: Tensor,
        batch_gt_instances: list[InstanceData],
    ) -> dict:
        """Losses of masks and attributes: MMDetection's step with the ground truth."""
        results = super().mask_loss(x, sampling_results, bbox_feats, batch_gt_instances)
        results['loss_mask']['loss_attribute'] = self.attribute_loss(
            x, sampling_results, batch_gt_instances
        )
        return results

    def attribute_loss(
        self,
        x: Sequence[Tensor],
        sampling_results: list[SamplingResult],
        batch_gt_instances: list[InstanceData],
    ) -> Tensor:
        """Loss over pairs of positive proposals, without humans, and attributes."""
        boxes, labels, targets, humans = [], [], [], []
        for result, truth in zip(sampling_results, batch_gt_instances, strict=True):
            chosen = (result.pos_gt_labels != self.human).nonzero()[:, 0]
            order = torch.randperm(len(chosen), device=chosen.device)
            chosen = chosen[order[: self.max_parts]]
            boxes.append(result.pos_priors[chosen])
            labels.append(result.pos_gt_labels[chosen])
            targets.append(truth.attributes[result.pos_assigned_gt_inds[chosen]])
            human = truth.bboxes[truth.labels == self.human]
            humans.append(human[0] if len(human) else self._around(truth.bboxes))
        if not sum(map(len, boxes)):  # all parameters take part nevertheless
            return 0 * sum(each.sum() for each in self.attribute_head.parameters())
        logits = self.attribute_logits(x, boxes, labels, torch.stack(humans))
        targets = [each for each in targets if len(each)]
        return self.loss_attribute(logits, torch.cat(targets).to(logits))

    def predict_mask(
        self,
        x: Sequence[Tensor],
        batch_img_metas: list[dict],
        results_list: list[InstanceData],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Masks and attributes: boxes have the scale of the input here.

        Results have ``attributes``, probabilities [n, A], and no humans.
        """
        humans, parts = [], []
        for result in results_list:
            found = result[result.labels == self.human]
            parts.append(result[result.labels != self.human])
            best = found.bboxes[found.scores.argsort(descending=True)[:1]]
            humans.append(best[0] if len(best) else self._around(parts[-1].bboxes))
        boxes = [each.bboxes for each in parts]
        labels = [each.labels for each in parts]
        logits = self.attribute_logits(x, boxes, labels, torch.stack(humans))
        counts = [len(each) for each in parts]
        for result, each in zip(parts, logits.sigmoid().split(counts), strict=True):
            result.attributes = each
        return super().predict_mask(x, batch_img_metas, parts, rescale)

    def attribute_logits(
        self,
        x: Sequence[Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        humans: Tensor,
    ) -> Tensor:
        """Logits [n, A] of all images.

        Args:
            x: Maps of the neck.
            boxes: Parts of each image, [n_i, 4], x1, y1, x2, y2 in pixels of the input.
            labels: Their classes, [n_i].
            humans: Human of each image, [B, 4].
        """
        rois = bbox2roi(boxes)
        features = self.bbox_roi_extractor(
            x[: self.bbox_roi_extractor.num_inputs], rois
        )
        shared, classifier = self._shared(features), self.bbox_head.fc_cls
        return self.attribute_head(
            Parts(
                features=features,
                shared=shared,
                boxes=rois[:, 1:],
                labels=torch.cat(labels),
                images=rois[:, 0].long(),
                human_boxes=humans,
                human_features=self.mask_roi_extractor(
                    x[: self.mask_roi_extractor.num_inputs],
                    bbox2roi([*humans[:, None]]),
                ),
                class_scores=classifier(shared).detach().softmax(1)[:, : self.human],
                class_weights=classifier.weight,
            )
        )

    def _shared(self, features: Tensor) -> Tensor:
        """Features [n, D] that the box head classifies."""
        for layer in self.bbox_head.shared_convs:
            features = layer(features)
        features = features.flatten(1)
        for layer in self.bbox_head.shared_fcs:
            features = self.bbox_head.relu(layer(features))
        return features

    def _around(self, boxes: Tensor) -> Tensor:
        """A box [4] around boxes [n, 4] and a margin in pixels of the input."""
        if not len(boxes):
            return boxes.new_zeros(4)
        low, high = boxes[:, :2].amin(0), boxes[:, 2:].amax(0)
        return torch.cat([(low - self.margin).clamp(min=0), high + self.margin])
