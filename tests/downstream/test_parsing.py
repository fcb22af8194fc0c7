"""Left and right in parsing; labels that are none."""

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from PIL import Image

pytest.importorskip('mmseg')

from mmseg.structures import SegDataSample  # noqa: E402

from saip_mm.downstream.parsing import (  # noqa: E402
    CheckLabels,
    CIHPDataset,
    ParsingTTAModel,
)

LEFT_RIGHT = [(1, 2)]


class Segmentor(BaseModel):
    """What the merging of predictions asks of one."""

    out_channels = 3

    def forward(self):
        raise NotImplementedError

    test_step = forward


def view(logits, flip):
    sample = SegDataSample(metainfo=dict(flip=flip, img_path='x'))
    sample.seg_logits = PixelData(data=logits)
    return sample


def test_flipped_views_get_left_and_right_back():
    torch.manual_seed(0)
    plain, flipped = torch.randn(2, 3, 4, 5).unbind(0)
    model = ParsingTTAModel(Segmentor(), LEFT_RIGHT)
    merged = model.merge_preds([[view(plain, False), view(flipped.clone(), True)]])
    # A plain loop over labels and pixels.
    probability = torch.zeros(3, 4, 5)
    for label, mirrored in enumerate((0, 2, 1)):
        for y in range(4):
            for x in range(5):
                probability[label, y, x] += plain[:, y, x].softmax(0)[label]
                probability[label, y, x] += flipped[:, y, x].softmax(0)[mirrored]
    assert torch.equal(merged[0].pred_sem_seg.data[0], probability.argmax(0))


def test_unknown_labels_are_named():
    results = dict(gt_seg_map=np.array([[0, 19], [255, 3]]), seg_map_path='a.png')
    assert CheckLabels(20).transform(results) is results
    results['gt_seg_map'][0, 0] = 38
    with pytest.raises(ValueError, match=r'a.png: labels \[38\] are none of 0 to 19'):
        CheckLabels(20).transform(results)


def test_cihp_folder(tmp_path):
    labels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    for folder, suffix in (('Images', 'jpg'), ('Category_ids', 'png')):
        path = tmp_path / 'Training' / folder / f'0000006.{suffix}'
        path.parent.mkdir(parents=True)
        Image.fromarray(labels).save(path)
    dataset = CIHPDataset(
        data_root=str(tmp_path),
        data_prefix=dict(
            img_path='Training/Images', seg_map_path='Training/Category_ids'
        ),
        pipeline=[dict(type='mmseg.LoadAnnotations')],
    )
    assert len(dataset) == 1
    assert (dataset[0]['gt_seg_map'] == labels).all()
    classes = dataset.metainfo['classes']
    assert (len(classes), classes[10], classes[14]) == (20, 'Torso-skin', 'Left-arm')
