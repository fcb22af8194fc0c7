"""PersonImages from annotated photographs: right crops, clear errors."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from saip_mm.data import person_images
from saip_mm.data.images import ImageError
from saip_mm.data.person_images import PersonImages


def coco(*boxes, **changes):
    """Annotations of one photograph of 100 x 200 pixels (h x w)."""
    annotations = [
        dict(id=i, image_id=1, category_id=3, bbox=list(box), iscrowd=0)
        for i, box in enumerate(boxes)
    ]
    content = dict(
        images=[dict(id=1, file_name='photo.png', height=100, width=200)],
        annotations=annotations,
        categories=[dict(id=2, name='dog'), dict(id=3, name='person')],
    )
    return content | changes


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
    """First and last row, first and last column of a crop of the photograph."""
    return [*map(int, image[0, 0, :2]), *map(int, image[-1, -1, :2])]


class TestAnnotations:
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
    def test_crops(self, photo, box, margin, expected):
        results = photo(coco(box), margin=margin)[0]
        image = results['image']
        assert corners(image) == expected
        shape = expected[2] - expected[0] + 1, expected[3] - expected[1] + 1, 3
        assert image.shape == shape
        assert 'photo.png, box (x, y, w, h)' in results['source']

    def test_other_categories_and_crowds_do_not_count(self, photo):
        content = coco(*[(i, 0, 50, 50) for i in range(4)])
        content['annotations'][1]['iscrowd'] = 1
        content['annotations'][2]['category_id'] = 2
        lefts = [corners(sample['image'])[1] for sample in photo(content)]
        assert lefts == [0, 3]
        del content['categories']  # then all are people
        assert len(photo(content)) == 3

    def test_small_boxes_are_skipped_and_counted_once(self, photo, monkeypatch):
        boxes = [(0, 0, 32, 64), (0, 0, 31.9, 64), (0, 40, 32, 64), (180, 0, 90, 90)]
        lines = []
        monkeypatch.setattr(
            person_images, 'print_log', lambda line, logger: lines.append(line)
        )
        dataset = photo(coco(*boxes), min_size=(64, 32), margin=0.5)
        assert len(dataset) == 1
        assert len(lines) == 1
        assert '1 people; skipped 3 of 4 person boxes, smaller than 64x32' in lines[0]
        with pytest.raises(ValueError, match='4 of 4 .* smaller than 90x10 .* lower'):
            photo(coco(*boxes[:3], boxes[0]), min_size=(90, 10))

    def test_without_sizes_a_box_outside_is_found_when_read(self, photo):
        images = [dict(id=1, file_name='photo.png')]
        assert len(photo(coco((0, 0, 40, 40), images=images))[0]['image']) == 40
        dataset = photo(coco((0, 300, 40, 40), images=images))
        with pytest.raises(ImageError, match=r'photo\.png, box .*: 0x40 pixels'):
            dataset[0]

    def test_a_photograph_of_another_size_is_an_error(self, photo):
        images = [dict(id=1, file_name='photo.png', height=200, width=100)]
        dataset = photo(coco((0, 0, 40, 40), images=images))
        with pytest.raises(ImageError, match=r'has 100x200 .* for 200x100; .*EXIF'):
            dataset[0]

    def test_boxes_are_of_the_upright_photograph(self, photo, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise by a quarter
        upright = np.asarray(Image.open(tmp_path / 'photo.png'))
        stored = Image.fromarray(np.rot90(upright).copy())
        stored.save(tmp_path / 'photo.png', exif=exif)
        image = photo(coco((20, 10, 30, 40)))[0]['image']
        assert corners(image) == [10, 20, 49, 49]

    def test_unreadable_and_absent_annotations(self, photo, tmp_path):
        (tmp_path / 'bad.json').write_text('{"images": [')
        with pytest.raises(ValueError, match=r'bad\.json: not JSON'):
            PersonImages(str(tmp_path), 'bad.json')
        with pytest.raises(FileNotFoundError, match=r'absent\.json: no such'):
            PersonImages(str(tmp_path), 'absent.json')

    def test_missing_photographs(self, photo, tmp_path):
        (tmp_path / 'photo.png').unlink()
        with pytest.raises(FileNotFoundError, match=r'1 of 1 .*: photo\.png;'):
            photo(coco((0, 0, 40, 40)))


@pytest.mark.parametrize(
    ('name', 'people'),
    [('coco/test_coco', 14), ('crowdpose/test_crowdpose', 5), ('aic/test_aic', 9)],
)
def test_real_annotations_agree_with_opencv(test_data, name, people):
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
        # Two JPEG decoders may differ in how they round.
        assert np.abs(sample['image'] - expected.astype(int)).mean() < 1
