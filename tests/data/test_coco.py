"""COCO records in forms that exporters write, held against pycocotools."""

import contextlib
import copy
import io
import json

import pytest

from saip_mm.data.person_boxes import read_person_boxes

pycocotools = pytest.importorskip('pycocotools.coco', reason='no pycocotools')

DROP = object()  # in place of a value: the key is missing
PLAIN = dict(
    images=[
        dict(id=1, file_name='a.jpg', height=200, width=300),
        dict(id=20, file_name='b.jpg', height=100, width=150),
    ],
    annotations=[
        dict(id=1, image_id=20, category_id=3, bbox=[10, 10.5, 80, 150], iscrowd=0),
        dict(id=2, image_id=1, category_id=3, bbox=[1, 2, 3, 4], iscrowd=0),
        dict(id=3, image_id=1, category_id=3, bbox=[5, 5, 90, 90], iscrowd=1),
        dict(id=4, image_id=1, category_id=7, bbox=[5, 5, 9, 9], iscrowd=0),
    ],
    categories=[dict(id=3, name='person'), dict(id=7, name='dog')],
)


@pytest.fixture
def read(tmp_path):
    def read(content, encoding='utf-8'):
        path = tmp_path / 'boxes.json'
        path.write_text(json.dumps(content), encoding=encoding)
        return read_person_boxes(str(path))

    return read


@pytest.fixture
def expected(tmp_path):
    (tmp_path / 'plain.json').write_text(json.dumps(PLAIN))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = pycocotools.COCO(tmp_path / 'plain.json')
        ids = coco.getAnnIds(catIds=coco.getCatIds(['person']), iscrowd=False)
    people = []
    for annotation in coco.loadAnns(ids):
        (image,) = coco.loadImgs(annotation['image_id'])
        size = image['height'], image['width']
        people.append((image['file_name'], tuple(annotation['bbox']), size))
    assert len(people) == 2
    return people


def changed(where, key, convert):
    content = copy.deepcopy(PLAIN)
    for record in content[where]:
        record[key] = convert(record[key])
    return content


FORMS = {
    'image ids': changed('images', 'id', str),
    'their ids': changed('annotations', 'image_id', str),
    'ids of floats': changed('annotations', 'image_id', float),
    'category ids': changed('categories', 'id', str),
    'their categories': changed('annotations', 'category_id', str),
    'sizes': changed('images', 'height', float),
    'crowds': changed('annotations', 'iscrowd', str),
    'truths': changed('annotations', 'iscrowd', bool),
    'crowds or null': changed('annotations', 'iscrowd', lambda value: value or None),
}


@pytest.mark.parametrize('form', FORMS)
def test_records_mean_the_same_in_other_forms(read, expected, form):
    assert read(FORMS[form]) == expected


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_text_with_a_mark(read, expected, encoding):
    assert read(PLAIN, encoding) == expected


@pytest.mark.parametrize(
    ('where', 'key', 'value', 'message'),
    [
        ('images', 'height', 200.5, 'image 1: "height" is 200.5, .* whole number'),
        ('images', 'width', -300, 'image 1: "width" is -300, .* whole number'),
        ('images', 'width', '300', """image 1: "width" is '300'"""),
        ('images', 'id', None, r'images\[0\]: "id" is null'),
        ('images', 'id', [1], r'images\[0\]: "id" is \[1\]'),
        ('images', 'id', 20, 'image 20 appears twice'),
        ('images', 'id', DROP, r'images\[0\] has no "id"'),
        ('images', 'file_name', '', """image 1: "file_name" is '', .*name of a file"""),
        ('images', 'file_name', 'a\0', 'image 1: "file_name" is .*name of a file'),
        ('images', 'file_name', '\ud800', 'image 1: "file_name" is .*name of a file'),
        ('images', 'file_name', DROP, 'image 1 has no "file_name"'),
        ('annotations', 'iscrowd', 'no', """annotation 1: "iscrowd" is 'no', and"""),
        ('annotations', 'bbox', None, 'annotation 1: "bbox" is null'),
        ('annotations', 'bbox', [1, 2, 3], r'"bbox" is \[1, 2, 3\], and should be fo'),
        ('annotations', 'bbox', [1, 2, 3, float('nan')], '1: "bbox" is .* finite'),
        ('annotations', 'bbox', [1, 2, -3, 4], 'annotation 1: "bbox" .* negative side'),
        ('annotations', 'bbox', [1, 2, '3', 4], 'annotation 1: "bbox" is .* finite'),
        ('annotations', 'bbox', DROP, r'1 has no "bbox", which .*; add it \(four'),
        ('annotations', 'image_id', '01', 'annotation 1 belongs to image 01, which'),
        ('annotations', 'image_id', 1.5, 'annotation 1 belongs to image 1.5, which'),
        ('annotations', 'image_id', DROP, 'annotation 1 has no "image_id"'),
        ('annotations', 'category_id', DROP, 'annotation 1 has no "category_id"'),
        ('categories', 'name', 'man', '"person", only man, dog; rename'),
    ],
)
def test_records_that_mean_nothing_are_named(read, where, key, value, message):
    content = copy.deepcopy(PLAIN)
    content[where][0][key] = value
    if value is DROP:
        del content[where][0][key]
    with pytest.raises(ValueError, match=f'boxes.json: .*{message}'):
        read(content)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([dict(bbox=[1, 2, 3, 4])], 'holds a list, not COCO-style'),
        (dict(images=[]), 'has no "annotations", as in COCO; its keys are images'),
        (PLAIN | dict(images=None), '"images" should be a list; it is null'),
        (
            PLAIN | dict(annotations=[1]),
            r'annotations\[0\] should be an object; it is 1',
        ),
        (PLAIN | dict(annotations=[]), 'contains no people; its 0 annotations'),
    ],
)
def test_files_of_something_else_are_named(read, content, message):
    with pytest.raises(ValueError, match=f'boxes.json: {message}'):
        read(content)
