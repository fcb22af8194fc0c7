"""Fashionpedia: reading, the metric of its authors, and bad annotations."""

import json

import numpy as np
import pytest
from mmengine.registry import DefaultScope
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
from saip_mm.downstream.part_attributes.metric import (  # noqa: E402
    evaluate_parts,
    f1_scores,
)
from saip_mm.training.loaders import build_checked_loader  # noqa: E402

FILE = 'instances_attributes_{}2020.json'


def content_of() -> dict:
    """The drawn annotations of six images."""
    content = json.loads((root('fashionpedia') / FILE.format('train')).read_text())
    content['images'] = content['images'][:6]
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
        (dict(segmentation=[]), 'neither run lengths nor polygons'),
        (dict(attribute_ids=None), '"attribute_ids" are None, not a list'),
        (dict(segmentation=[[1, 2, 3, 4]]), 'nor polygons of 3 or more points'),
        (dict(segmentation=RUNS), r'has the size \[2, 3\], its image \[256, 192\]'),
        (dict(segmentation=RUNS | dict(size=[256, 192])), 'do not add up to 256 x 192'),
        (dict(segmentation=None), 'neither run lengths nor polygons'),
    ],
)
def test_bad_annotations_are_named(changes, message, tmp_path):
    content = content_of()
    content['annotations'][3] |= changes
    named = f'annotations.json: annotation {content["annotations"][3]["id"]}: '
    with pytest.raises(ValueError, match=f'{named}.*{message}'):
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


def test_other_numbers_of_attributes_are_named(tmp_path):
    read(content_of(), tmp_path)
    path = str(tmp_path / 'annotations.json')
    head = KnowledgeAttributeHead(290, 46, path)
    with pytest.raises(ValueError, match='46 categories and 294 attributes; num_parts'):
        head.init_weights()
