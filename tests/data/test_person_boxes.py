"""COCO-style annotations: forms against pycocotools, crops against known pixels."""

import contextlib
import copy
import io
import json

import cv2
import numpy as np
import pytest
from image_files import oriented
from PIL import Image

from saip_mm.data.images import ImageError
from saip_mm.data.person_boxes import read_person_boxes
from saip_mm.data.person_images import PersonImages

DROP = object()  # in place of a value: removes the key
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


def read(folder, content, encoding='utf-8'):
    path = folder / 'boxes.json'
    path.write_text(json.dumps(content), encoding=encoding)
    return read_person_boxes(str(path))


@pytest.fixture
def expected(tmp_path):
    pycocotools = pytest.importorskip('pycocotools.coco')
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


@pytest.mark.parametrize(
    ('where', 'key', 'convert'),
    [
        ('images', 'id', str),
        ('annotations', 'image_id', str),
        ('annotations', 'image_id', float),
        ('categories', 'id', str),
        ('annotations', 'category_id', str),
        ('images', 'height', float),
        ('images', 'width', str),
        ('annotations', 'iscrowd', str),
        ('annotations', 'iscrowd', bool),
        ('annotations', 'iscrowd', lambda value: value or None),
    ],
)
def test_forms_written_by_exporters(tmp_path, expected, where, key, convert):
    content = copy.deepcopy(PLAIN)
    for record in content[where]:
        record[key] = convert(record[key])
    for encoding in ('utf-8', 'utf-8-sig', 'utf-16'):
        assert read(tmp_path, content, encoding) == expected


@pytest.mark.parametrize(
    ('where', 'key', 'value', 'message'),
    [
        ('images', 'width', 'wide', r"images\[0\] \(id 1\): .*'wide'"),
        ('images', 'id', 20, 'several images have the same id'),
        ('images', 'file_name', 3, r'images\[0\] .*: "file_name" is 3'),
        ('annotations', 'iscrowd', 'no', r"annotations\[0\] \(id 1\): .*'no'"),
        ('annotations', 'bbox', None, r'annotations\[0\] \(id 1\): .*NoneType'),
        ('annotations', 'bbox', [1, 2, 3], r'"bbox" is \[1, 2, 3\], not x, y, w'),
        ('annotations', 'bbox', [1, 2, 3, float('nan')], r'0\] .*: "bbox" is .*nan'),
        ('annotations', 'image_id', '01', r'tions\[0\] .*: "images" has no image 01'),
        ('annotations', 'category_id', DROP, r"\[0\] .*: has no 'category_id'"),
        ('annotations', 'keypoints', [1, 2], r'annotations\[0\] .*: .*reshape'),
        ('categories', 'name', 'man', '"person", only man, dog; rename'),
    ],
)
def test_invalid_records_are_named(tmp_path, where, key, value, message):
    content = copy.deepcopy(PLAIN)
    content[where][0][key] = value
    if value is DROP:
        del content[where][0][key]
    with pytest.raises(ValueError, match=f'boxes.json: .*{message}'):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([dict(bbox=[1, 2, 3, 4])], 'has no list of "images", as in COCO'),
        (PLAIN | dict(annotations=[1]), r'annotations\[0\]: '),
        (PLAIN | dict(annotations=[]), 'contains no people; its 0 annotations'),
    ],
)
def test_other_files_are_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=f'boxes.json: {message}'):
        read(tmp_path, content)


def coco(*boxes, **changes):
    """Annotations of one photograph of 100 x 200 pixels (h x w)."""
    annotations = [dict(id=i, image_id=1, bbox=box) for i, box in enumerate(boxes)]
    images = [dict(id=1, file_name='photo.png', height=100, width=200)]
    return dict(images=images, annotations=annotations) | changes


@pytest.fixture
def photo(tmp_path):
    """A photograph whose red is the row and whose green is the column."""
    rows, columns = np.mgrid[:100, :200].astype(np.uint8)
    image = np.dstack([rows, columns, np.zeros_like(rows)])
    Image.fromarray(image).save(tmp_path / 'photo.png')

    def dataset(content, **options):
        (tmp_path / 'boxes.json').write_text(json.dumps(content))
        options = dict(margin=0, min_size=(1, 1)) | options
        return PersonImages(str(tmp_path), 'boxes.json', **options)

    return dataset


def corners(image):
    """First row and column, last row and column of a crop of the photograph."""
    return [*map(int, image[0, 0, :2]), *map(int, image[-1, -1, :2])]


@pytest.mark.parametrize(
    ('box', 'margin', 'expected'),
    [
        ((20, 10, 30, 40), 0, [10, 20, 49, 49]),
        ((20, 10, 30, 40), 0.1, [6, 17, 53, 52]),
        ((20.6, 10.2, 30, 40), 0, [10, 20, 50, 50]),  # all pixels it touches
        ((-5, -9, 30, 40), 0, [0, 0, 30, 24]),
        ((190, 90, 30, 40), 0.5, [70, 175, 99, 199]),
        ((0, 0, 200, 100), 0.2, [0, 0, 99, 199]),
    ],
)
def test_crops(photo, box, margin, expected):
    people = photo(coco(box), margin=margin)
    results = people[0]
    image = results['image']
    packed = io.BytesIO(people.load_file(people.get_data_info(0)))
    np.testing.assert_array_equal(Image.open(packed), image)
    assert corners(image) == expected
    top, left, bottom, right = expected
    assert image.shape == (bottom - top + 1, right - left + 1, 3)
    assert 'photo.png, box (x, y, w, h)' in results['source']


def test_small_boxes_are_skipped_and_counted_once(photo, logged):
    boxes = [(0, 0, 32, 64), (0, 0, 31.9, 64), (0, 40, 32, 64), (180, 0, 90, 90)]
    lines = logged('data.person_images')
    dataset = photo(coco(*boxes), min_size=(64, 32), margin=0.5)
    assert len(dataset) == 1
    (line,) = lines
    assert '1 people; skipped 3 of 4 person boxes, which are smaller than 64x32' in line
    assert len(photo(coco(*boxes), min_size=None)) == 1  # (64, 32) by default
    with pytest.raises(ValueError, match='4 of 4 .* smaller than 90x10 .* lower'):
        photo(coco(*boxes[:3], boxes[0]), min_size=(90, 10))


def test_boxes_and_sizes_that_do_not_fit_the_photograph(photo):
    images = [dict(id=1, file_name='photo.png')]
    with pytest.raises(ImageError, match=r'photo\.png, box .*: 0x40 pixels'):
        photo(coco((0, 300, 40, 40), images=images))[0]
    images[0] |= dict(height=200, width=100)
    with pytest.raises(ImageError, match=r'has 100x200 .* for 200x100; .*EXIF'):
        photo(coco((0, 0, 40, 40), images=images))[0]


def test_corners_instead_of_sizes(test_data, tmp_path):
    annotations = test_data / 'people/pose/coco_subset/train.json'
    content = json.loads(annotations.read_text())
    assert len(read_person_boxes(str(annotations))) == 2105
    for annotation in content['annotations']:
        x, y, width, height = annotation['bbox']
        annotation['bbox'] = [x, y, x + width, y + height]
    (tmp_path / 'a.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='a.json: 15.. of 2105 boxes end outside'):
        read_person_boxes(str(tmp_path / 'a.json'))


def test_boxes_refer_to_the_upright_photograph(photo, tmp_path):
    upright = np.asarray(Image.open(tmp_path / 'photo.png'))
    stored = Image.fromarray(np.rot90(upright).copy())
    stored.save(tmp_path / 'photo.png', exif=oriented(6))  # clockwise by 90°
    assert corners(photo(coco((20, 10, 30, 40)))[0]['image']) == [10, 20, 49, 49]


def test_missing_files(photo, tmp_path):
    (tmp_path / 'bad.json').write_text('{"images": [')
    with pytest.raises(ValueError, match=r'bad\.json: not JSON'):
        PersonImages(str(tmp_path), 'bad.json')
    with pytest.raises(FileNotFoundError, match=r'absent\.json: no such'):
        PersonImages(str(tmp_path), 'absent.json')
    (tmp_path / 'photo.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 1 .*: photo\.png;'):
        photo(coco((0, 0, 40, 40), (50, 0, 40, 40)))


@pytest.mark.parametrize(
    ('name', 'people'),
    [('coco/test_coco', 14), ('crowdpose/test_crowdpose', 5), ('aic/test_aic', 9)],
)
def test_crops_of_real_annotations_match_opencv(test_data, name, people):
    path = test_data / 'real' / f'{name}.json'
    dataset = PersonImages(str(path.parent), path.name, margin=0, min_size=(1, 1))
    assert len(dataset) == people
    content = json.loads(path.read_text())
    files = {image['id']: image['file_name'] for image in content['images']}
    for sample, annotation in zip(dataset, content['annotations'], strict=True):
        file = path.parent / files[annotation['image_id']]
        photograph = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
        x, y, w, h = annotation['bbox']
        bottom, right = int(np.ceil(y + h)), int(np.ceil(x + w))
        expected = photograph[int(y) : bottom, int(x) : right]
        # JPEG decoders may round differently.
        assert np.abs(sample['image'] - expected.astype(int)).mean() < 1
