"""Left and right labels under flips; label maps that do not match."""

import copy

import numpy as np
import pytest
import torch
from image_files import oriented
from launch import ROOT
from mmengine.dataset import Compose
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from PIL import Image

pytest.importorskip('mmseg')

from mmseg.registry import DATASETS, TRANSFORMS  # noqa: E402
from mmseg.structures import SegDataSample  # noqa: E402

from saip_mm.downstream.parsing import ParsingTTAModel  # noqa: E402
from saip_mm.training.config import load_config  # noqa: E402

LEFT_RIGHT = [(1, 2)]


class Segmentor(BaseModel):
    """The attributes that merging predictions requires."""

    out_channels = 3

    def forward(self):
        raise NotImplementedError

    test_step = forward


def view(logits, flip):
    sample = SegDataSample(metainfo=dict(flip=flip, img_path='x'))
    sample.seg_logits = PixelData(data=logits)
    return sample


def test_left_and_right_are_swapped_in_flipped_views():
    torch.manual_seed(0)
    plain, flipped = torch.randn(2, 3, 4, 5).unbind(0)
    model = ParsingTTAModel(Segmentor(), LEFT_RIGHT)
    merged = model.merge_preds([[view(plain, False), view(flipped.clone(), True)]])
    probability = torch.zeros(3, 4, 5)
    for label, mirrored in enumerate((0, 2, 1)):
        for y in range(4):
            for x in range(5):
                probability[label, y, x] += plain[:, y, x].softmax(0)[label]
                probability[label, y, x] += flipped[:, y, x].softmax(0)[mirrored]
    assert torch.equal(merged[0].pred_sem_seg.data[0], probability.argmax(0))


def save_pair(folder, labels, orientation=1, image_size=(6, 8)):
    """Save an image of stored size (h, w) and a label map; return their entry."""
    pixels = np.zeros((*image_size, 3), np.uint8)
    Image.fromarray(pixels).save(folder / 'a.jpg', exif=oriented(orientation))
    image = labels if isinstance(labels, Image.Image) else Image.fromarray(labels)
    image.save(folder / 'a.png')
    return dict(
        img_path=str(folder / 'a.jpg'),
        seg_map_path=str(folder / 'a.png'),
        reduce_zero_label=False,
        seg_fields=[],
    )


LABELS = (np.arange(48, dtype=np.uint8) % 20).reshape(6, 8)
RGB = np.stack([LABELS] * 3, -1)
WRONG = dict(
    smaller=(LABELS[::2, ::2], 1, 'a.png: is 3x4 pixels .*a.jpg is 6x8'),
    cropped=(LABELS[:, :7], 1, 'a.png: is 6x7 pixels .*a.jpg is 6x8'),
    transposed=(LABELS.T, 1, 'a.png: is 8x6 pixels .*a.jpg is 6x8'),
    as_stored=(LABELS, 6, 'a.png: is 6x8 pixels .*a.jpg is 8x6 once its EXIF'),
    rgb=(RGB, 1, 'a.png: a label map has one number per pixel.* has 3'),
    unknown=(LABELS + 19, 1, r'a.png: labels \[20, .*38\] are neither 0 to 19'),
    # MMSegmentation reads these as 1, 2, …
    wide=(LABELS.astype(np.uint16) + 257, 1, r'a.png: labels \[257, .* are neither 0'),
)


def pipelines():
    for name in ('lip_saip-vit-tiny_576x384', 'cihp_saip-vit-tiny_512x512'):
        cfg = load_config(str(ROOT / f'configs/downstream/parsing/{name}.py'), {})
        for split in ('train', 'val', 'test'):
            steps = cfg[f'{split}_dataloader'].dataset.pipeline
            yield pytest.param(steps, id=f'{name[:4]}-{split}')
        yield pytest.param(cfg.tta_pipeline, id=f'{name[:4]}-tta')


@pytest.mark.parametrize('steps', list(pipelines()))
def test_every_pipeline_rejects_label_maps_that_do_not_match(steps, tmp_path):
    with DefaultScope.overwrite_default_scope('mmseg'):
        pipeline = Compose(copy.deepcopy(steps))
    for labels, orientation, message in WRONG.values():
        with pytest.raises(ValueError, match=message):
            pipeline(save_pair(tmp_path, labels, orientation))
    assert pipeline(save_pair(tmp_path, LABELS)) is not None
    upright = save_pair(tmp_path, np.rot90(LABELS, -1).copy(), orientation=6)
    assert pipeline(upright) is not None


@pytest.mark.parametrize('kind', ['palette', 'gray', '16-bit', 'one-bit'])
def test_labels_in_other_formats(kind, tmp_path):
    labels = LABELS.copy()
    labels[0, 0] = 255
    image = Image.fromarray(labels)
    if kind == 'palette':
        image = Image.fromarray(labels, 'P')
        image.putpalette(np.random.default_rng(0).bytes(768))
    elif kind == 'one-bit':
        labels %= 2
        image = Image.fromarray(labels.astype(bool))
    elif kind != 'gray':
        image = Image.fromarray(labels.astype(np.uint16))
    results = save_pair(tmp_path, image)
    for step in ('LoadImageFromFile', 'LoadAnnotations', 'CheckLabels'):
        arguments = dict(num_classes=20) if step == 'CheckLabels' else {}
        results = TRANSFORMS.build(dict(type=f'mmseg.{step}', **arguments))(results)
    assert (results['gt_seg_map'] == labels).all()


def test_images_of_any_format_are_used(tmp_path):
    cfg = load_config(str(ROOT / 'configs/transfer/parsing_saip-small.py'))
    config = dict(cfg.train_dataloader.dataset, data_root=str(tmp_path))
    names = ['a.JPG', 'b.jpeg', 'c.png', 'd/e.jpg']
    labels = ['a.png', 'b.png', 'c.png', 'd/e.png']
    for name in [f'images/{n}' for n in names] + [f'labels/{n}' for n in labels]:
        (tmp_path / 'train' / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('L', (8, 12), 3).save(tmp_path / 'train' / name)
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = DATASETS.build(config)
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    found = [sample.img_path for sample in samples]
    assert found == [str(tmp_path / 'train/images' / name) for name in names]
    assert all((sample.gt_sem_seg.data == 3).all() for sample in samples)


@pytest.mark.parametrize('mode', ['L', 'RGB'])
def test_masks_in_black_and_white_are_refused(mode, tmp_path):
    for name, labels in dict(a=[[0, 255]], b=[[255, 255]]).items():
        (tmp_path / name).mkdir()
        labels = Image.fromarray(np.array(labels, np.uint8)).convert(mode)
        save_pair(tmp_path / name, labels, image_size=(1, 2))
    prefix = dict(img_path='', seg_map_path='')
    config = dict(type='mmseg.LabelMaps', data_root=str(tmp_path), data_prefix=prefix)
    config |= dict(pipeline=[], img_suffix='.jpg', metainfo=dict(classes=('a', 'b')))
    with pytest.raises(ValueError, match=r'a.png and others are black and white, but'):
        DATASETS.build(config)
    save_pair(tmp_path / 'b', np.array([[255, 1]], np.uint8), image_size=(1, 2))
    DATASETS.build(config)
