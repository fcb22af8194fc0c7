"""Heads of part attributes: losses, results, and knowledge."""

import math
from types import SimpleNamespace

import pytest
import torch
from launch import ROOT
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData

pytest.importorskip('mmdet')

from saip_mm.downstream.part_attributes import KnowledgeAttributeHead  # noqa: E402
from saip_mm.downstream.part_attributes.heads import Parts  # noqa: E402
from saip_mm.training.config import load_config  # noqa: E402

CONFIG = 'configs/downstream/part_attributes/fashionpedia_{}_saip-vit-tiny.py'


def roi_head(name: str = 'ke-rcnn'):
    cfg = load_config(str(ROOT / CONFIG.format(name)))
    cfg.model.roi_head.test_cfg = cfg.model.test_cfg.rcnn
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(cfg.model.roi_head).eval()


def sampled(truth: InstanceData, indices: list[int], boxes: torch.Tensor):
    indices = torch.tensor(indices, dtype=torch.long)
    return SimpleNamespace(
        pos_priors=boxes,
        pos_gt_labels=truth.labels[indices],
        pos_assigned_gt_inds=indices,
    )


def test_loss_is_over_pairs_of_parts_and_attributes(monkeypatch):
    head, draw = roi_head('attribute-mask-rcnn'), torch.manual_seed(0)
    truths, results, indices = [], [], ([0, 2, 1, 0], [1])
    for labels in ([4, 31, 46], [46, 6]):
        n = len(labels)
        truths.append(
            InstanceData(
                labels=torch.tensor(labels),
                bboxes=torch.rand(n, 4, generator=draw) + torch.tensor([0, 0, 9, 9]),
                attributes=(torch.rand(n, 294, generator=draw) < 0.1).byte(),
            )
        )
    for truth, chosen in zip(truths, indices, strict=True):
        boxes = torch.rand(len(chosen), 4, generator=draw)
        results.append(sampled(truth, chosen, boxes))
    logits = {
        tuple(b.tolist()): torch.randn(294) for r in results for b in r.pos_priors
    }

    def given(x, boxes, labels, humans):
        assert humans[0].equal(truths[0].bboxes[2])
        assert humans[1].equal(truths[1].bboxes[0])
        assert sorted(torch.cat(labels).tolist()) == [4, 4, 6, 31]
        return torch.stack([logits[tuple(b.tolist())] for b in torch.cat(boxes)])

    monkeypatch.setattr(head, 'attribute_logits', given)
    terms = []
    for truth, result, chosen in zip(truths, results, indices, strict=True):
        for box, i in zip(result.pos_priors, chosen, strict=True):
            if truth.labels[i] == 46:
                continue
            for logit, true in zip(
                logits[tuple(box.tolist())], truth.attributes[i], strict=True
            ):
                p = 1 / (1 + math.exp(-logit))
                terms.append(-math.log(p if true else 1 - p))
    found = head.attribute_loss((), results, truths)
    assert found.item() == pytest.approx(5 * sum(terms) / len(terms), rel=1e-5)
    head.max_parts = 1
    monkeypatch.setattr(head, 'attribute_logits', lambda x, boxes, *_: check(boxes))

    def check(boxes):
        assert [len(each) for each in boxes] == [1, 1]
        return torch.zeros(2, 294)

    found = head.attribute_loss((), results, truths)
    assert found.item() == pytest.approx(5 * math.log(2))


def maps() -> list[torch.Tensor]:
    draw = torch.manual_seed(1)
    return [
        torch.randn(2, 256, 64 // s, 64 // s, generator=draw) for s in (1, 2, 4, 8, 16)
    ]


@pytest.mark.parametrize('name', ['ke-rcnn', 'attribute-mask-rcnn'])
def test_images_without_parts_train(name):
    head = roi_head(name)
    truth = InstanceData(
        labels=torch.zeros(0, dtype=torch.long),
        bboxes=torch.zeros(0, 4),
        attributes=torch.zeros(0, 0, dtype=torch.uint8),
    )
    result = sampled(truth, [], torch.zeros(0, 4))
    loss = head.attribute_loss(maps(), [result] * 2, [truth] * 2)
    loss.backward()
    assert loss == 0
    assert all(each.grad is not None for each in head.attribute_head.parameters())


def test_results_have_attributes_and_no_humans():
    """The human with the best score counts; without one, the box around all parts."""
    head, seen = roi_head(), []
    head.attribute_head.register_forward_pre_hook(
        lambda _, given: seen.append(given[0])
    )
    boxes = torch.tensor([[20.0, 30, 90, 80], [0, 0, 99, 99], [5, 5, 60, 70]])
    results = [
        InstanceData(
            bboxes=boxes, labels=torch.tensor(labels), scores=torch.tensor(scores)
        )
        for labels, scores in (([6, 46, 46], [0.9, 0.2, 0.4]), ([6, 0, 1], [0.3] * 3))
    ]
    metas = [dict(ori_shape=(128, 128), scale_factor=(2.0, 2.0))] * 2
    with torch.no_grad():
        found = head.predict_mask(maps(), metas, results, rescale=True)
    (parts,) = seen
    assert parts.human_boxes.tolist() == [[5, 5, 60, 70], [0, 0, 109, 109]]
    assert parts.labels.tolist() == [6, 6, 0, 1]
    assert parts.images.tolist() == [0, 1, 1, 1]
    assert [each.attributes.shape for each in found] == [(1, 294), (3, 294)]
    assert found[0].bboxes.tolist() == [[10, 15, 45, 40]]
    assert found[0].masks.shape == (1, 128, 128)


def test_missing_knowledge_names_the_setting():
    with pytest.raises(FileNotFoundError, match='attribute_head.knowledge=none.json'):
        KnowledgeAttributeHead(5, 3, 'none.json').init_weights()


def test_knowledge_tokens():
    """Against a loop over parts, attributes and categories."""
    head = KnowledgeAttributeHead(5, 3, '', box_channels=4, channels=16).eval()
    head.knowledge.copy_(torch.rand(3, 5))
    scores, weights = torch.rand(2, 3), torch.randn(5, 4)
    parts = SimpleNamespace(class_scores=scores, class_weights=weights)
    found = head._knowledge(parts)
    for n in range(2):
        for a in range(5):
            mixed = sum(
                scores[n, k] * head.knowledge[k, a] * weights[k] for k in range(3)
            )
            torch.testing.assert_close(found[n, a], head.mixed(mixed))


def test_attributes_that_a_category_never_has_ask_nothing():
    """Their learned vectors do not reach the logits of other attributes."""
    head = KnowledgeAttributeHead(5, 3, '', box_channels=4, channels=16).eval()
    head.knowledge[1, :3] = 1
    draw = torch.manual_seed(0)
    parts = Parts(
        features=torch.randn(1, 16, 7, 7, generator=draw),
        shared=torch.randn(1, 4),
        boxes=torch.tensor([[1.0, 2, 5, 9]]),
        labels=torch.tensor([1]),
        images=torch.tensor([0]),
        human_boxes=torch.tensor([[0.0, 0, 20, 20]]),
        human_features=torch.randn(1, 16, 14, 14),
        class_scores=torch.rand(1, 3),
        class_weights=torch.randn(5, 4),
    )
    before = head(parts)
    with torch.no_grad():
        head.attributes[4] *= -3
        after = head(parts)
        head.attributes[0] *= -3
        last = head(parts)
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert not torch.allclose(after[:, 4], before[:, 4])
    assert not torch.allclose(last[:, 1], after[:, 1])
