"""Fashionpedia: reading, the metric of its authors, losses, and bad annotations."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from launch import ROOT
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData
from written_formats import root

pytest.importorskip('mmdet')

from fashionpedia_oracle import detections, official  # noqa: E402
from pycocotools.coco import COCO  # noqa: E402
from sklearn.metrics import f1_score  # noqa: E402

from saip_mm.downstream.part_attributes import (  # noqa: E402
    Fashionpedia,
    KnowledgeAttributeHead,
    PartAnnotations,
    knowledge_matrix,
)
from saip_mm.downstream.part_attributes.heads import Parts  # noqa: E402
from saip_mm.downstream.part_attributes.metric import (  # noqa: E402
    evaluate_parts,
    f1_scores,
)
from saip_mm.training.config import load_config  # noqa: E402
from saip_mm.training.loaders import build_checked_loader  # noqa: E402

FILE = 'instances_attributes_{}2020.json'


def content_of(num: int = 6) -> dict:
    """The drawn annotations of a few images."""
    content = json.loads((root('fashionpedia') / FILE.format('train')).read_text())
    content['images'] = content['images'][:num]
    kept = {each['id'] for each in content['images']}
    entries = [each for each in content['annotations'] if each['image_id'] in kept]
    return content | dict(annotations=entries)


def read(content: dict, folder) -> PartAnnotations:
    path = folder / 'annotations.json'
    path.write_text(json.dumps(content))
    return PartAnnotations(str(path))


def complicated() -> dict:
    """With crowds, an image without instances, and parts annotated twice."""
    content = content_of()
    empty, entries = content['images'][2]['id'], content['annotations']
    entries = [each for each in entries if each['image_id'] != empty]
    for each in (entries[0], entries[7]):
        each['iscrowd'] = 1
    for each in entries[1:3]:
        entries.append(each | dict(id=1000 + each['id'], attribute_ids=[317]))
    return content | dict(annotations=entries)


@pytest.mark.parametrize('iou_type', ['segm', 'bbox'])
@pytest.mark.parametrize('kind', ['perfect', 'noisy', 'random', 'nothing'])
def test_metric_is_that_of_the_authors(kind, iou_type, tmp_path):
    content = content_of() if kind == 'perfect' else complicated()
    annotations = read(content, tmp_path)
    found = detections(annotations, kind)
    ours = evaluate_parts(annotations, found, iou_type)
    if kind == 'nothing':  # which the package cannot read
        assert set(ours.values()) == {0}
        return
    pytest.importorskip('fashionpedia')
    theirs = official(annotations, found, iou_type)
    assert ours == pytest.approx(theirs, abs=1e-6)
    score = ours['AP_IoU_F1']
    if kind == 'perfect':
        assert set(ours.values()) == {1}
    else:
        assert 0.1 < score < 0.9 if kind == 'noisy' else score < 0.05


def test_metric_without_annotations(tmp_path):
    content = content_of() | dict(annotations=[])
    assert set(evaluate_parts(read(content, tmp_path), {}).values()) == {-1}


def test_f1_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 6, 9)) < rng.random((2, 6, 1))
    first[:3], second[:3] = np.array([[0], [1], [0]]), np.array([[0], [1], [1]])
    expected = [[f1_score(b, a, average='macro') for b in second] for a in first]
    np.testing.assert_array_equal(f1_scores(first, second), expected)


def dataset(path: str, **more) -> Fashionpedia:
    folder = root('fashionpedia')
    steps = ['LoadPartAnnotations', 'AppendHuman', 'PackPartInputs']
    with DefaultScope.overwrite_default_scope('mmdet'):
        return Fashionpedia(
            ann_file=str(path),
            data_prefix=dict(img=str(folder / 'train')),
            pipeline=[dict(type=each) for each in ('LoadImageFromFile', *steps)],
            **more,
        )


def test_read_as_drawn():
    """Numbers of attributes, masks of both kinds, and the human around all."""
    found, content = dataset(root('fashionpedia') / FILE.format('train')), content_of()
    assert found.metainfo['classes'][31] == 'sleeve'
    assert len(found.metainfo['classes']) == 47
    ids = sorted(each['id'] for each in content['attributes'])
    api, kinds = COCO(), set()
    for index, image in enumerate(content['images']):
        truth = found[index]['data_samples'].gt_instances
        entries = [a for a in content['annotations'] if a['image_id'] == image['id']]
        union = np.zeros((image['height'], image['width']), bool)
        api.imgs = {image['id']: image}
        for i, entry in enumerate(entries):
            x, y, w, h = entry['bbox']
            assert truth.bboxes.tensor[i].tolist() == [x, y, x + w, y + h]
            assert truth.labels[i] == entry['category_id']
            named = {ids[k] for k in truth.attributes[i].nonzero()[:, 0]}
            assert named == set(entry['attribute_ids'])
            mask = api.annToMask(entry).astype(bool)
            np.testing.assert_array_equal(truth.masks.masks[i], mask)
            union |= mask
            kinds.add(type(entry['segmentation']))
        assert len(truth) == len(entries) + 1
        x1, y1 = (min(e['bbox'][k] for e in entries) for k in (0, 1))
        x2, y2 = (max(e['bbox'][k] + e['bbox'][k + 2] for e in entries) for k in (0, 1))
        human = [max(x1 - 10, 0), max(y1 - 10, 0)]
        human += [min(x2 + 10, image['width']), min(y2 + 10, image['height'])]
        assert truth.bboxes.tensor[-1].tolist() == human and truth.labels[-1] == 46
        np.testing.assert_array_equal(truth.masks.masks[-1], union)
        assert not truth.attributes[-1].any()
    assert kinds == {list, dict}


def test_images_without_instances(tmp_path):
    content = complicated()
    read(content, tmp_path)
    kept = dataset(tmp_path / 'annotations.json')
    assert len(kept[2]['data_samples'].gt_instances) == 0
    filtered = dataset(
        tmp_path / 'annotations.json', filter_cfg=dict(filter_empty_gt=True)
    )
    assert len(filtered) == len(kept) - 1 == 5


def test_knowledge_is_counted(tmp_path):
    content = content_of()
    read(content, tmp_path)
    matrix = knowledge_matrix(str(tmp_path / 'annotations.json'))
    assert matrix.shape == (46, 294)
    ids = sorted(each['id'] for each in content['attributes'])
    for category in range(46):
        named = [
            i
            for each in content['annotations']
            if each['category_id'] == category
            for i in each['attribute_ids']
        ]
        expected = [named.count(i) / max(len(named), 1) for i in ids]
        np.testing.assert_allclose(matrix[category], expected, rtol=1e-6)


RUNS = dict(counts=[5], size=[2, 3])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(attribute_ids=[235, 5, 999]), '"attributes" do not contain 235, 999'),
        (dict(category_id=46), '"categories" do not contain 46'),
        (dict(image_id=77), 'there is no image 77'),
        (dict(segmentation=[[500, 9, 520, 9, 520, 40]]), 'outside its image of 192 x'),
        (dict(segmentation=[]), 'outside its image'),
        (dict(segmentation=[[1, 2, 3, 4]]), 'nor polygons of 3 or more points'),
        (dict(segmentation=RUNS), r'has the size \[2, 3\], its image \[256, 192\]'),
        (dict(segmentation=RUNS | dict(size=[256, 192])), 'do not add up to 256 x 192'),
        (dict(segmentation=None), 'neither run lengths nor polygons'),
    ],
)
def test_bad_annotations_are_named(changes, message, tmp_path):
    content = content_of()
    content['annotations'][3] |= changes
    number = content['annotations'][3]['id']
    with pytest.raises(
        ValueError, match=f'annotations.json: annotation {number}: .*{message}'
    ):
        read(content, tmp_path)


def test_bad_annotations_end_a_training_before_it_starts(tmp_path):
    content = content_of()
    content['annotations'][0]['attribute_ids'] = [250]
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(content))
    given = dict(type='mmdet.Fashionpedia', ann_file=str(path))
    with pytest.raises(ValueError, match=f'^{path}: annotation 1: .* contain 250'):
        build_checked_loader(dict(dataset=given, batch_size=1, num_workers=0))


@pytest.mark.parametrize('key', ['attributes', 'annotations'])
def test_missing_lists_are_named(key, tmp_path):
    content = content_of()
    del content[key]
    with pytest.raises(ValueError, match=f'annotations.json: has no "{key}"'):
        read(content, tmp_path)


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


def test_other_numbers_of_attributes_are_named(tmp_path):
    read(content_of(), tmp_path)
    path = str(tmp_path / 'annotations.json')
    head = KnowledgeAttributeHead(290, 46, path)
    with pytest.raises(ValueError, match='46 categories and 294 attributes; num_parts'):
        head.init_weights()
