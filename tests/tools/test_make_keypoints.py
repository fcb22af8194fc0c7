"""tools/make_keypoints.py with a model of MMPose."""

import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from saip_mm.data import PersonImages

TOOL = 'tools/make_keypoints.py'
CONFIG = """
default_scope = 'mmpose'
codec = dict(type='MSRAHeatmap', input_size=(32, 64), heatmap_size=(8, 16), sigma=1)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(type='PoseDataPreprocessor', mean=[127.5] * 3,
                           std=[50.0] * 3, bgr_to_rgb=True),
    backbone=dict(type='ResNet', depth=18, out_indices=(3,)),
    head=dict(type='HeatmapHead', in_channels=512, out_channels={}, decoder=codec,
              deconv_out_channels=(16, 16, 16), deconv_kernel_sizes=(4, 4, 4)),
)
test_dataloader = dict(batch_size=32, dataset=dict(type='CocoDataset', pipeline=[
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]))
"""


@pytest.fixture
def pose_model(tmp_path):
    """Makes config and random weights of a model with other keypoints first."""
    pytest.importorskip('mmpose', reason='MMPose is not installed')
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    from mmpose.registry import MODELS

    def make(data_set, keypoints):
        config, weights = tmp_path / 'pose.py', tmp_path / 'pose.pth'
        config.write_text(CONFIG.format(keypoints))
        torch.manual_seed(0)
        model = MODELS.build(Config.fromfile(config).model)
        meta = parse_pose_metainfo(
            dict(from_file=f'configs/_base_/datasets/{data_set}.py')
        )
        checkpoint = dict(state_dict=model.state_dict(), meta=dict(dataset_meta=meta))
        torch.save(checkpoint, weights)
        return config, weights

    with DefaultScope.overwrite_default_scope('mmpose'):
        yield make


def test_keypoints_are_those_of_mmpose(photographs, pose_model, run):
    from mmpose.apis import inference_topdown, init_model

    config, weights = pose_model('coco_wholebody', 133)
    status, text = run(
        photographs, config, weights, '--batch-size', 5, '--score-thr', 0.1
    )
    assert status == 0, text
    assert '10 of 12 images' in text and '03.jpg' in text
    model = init_model(str(config), device='cpu')
    model.load_state_dict(torch.load(weights, weights_only=False)['state_dict'])
    people = PersonImages(str(photographs), keypoints='keypoints.json')
    for index in (0, 7, 11):
        image, keypoints = people.load_posed(people.get_data_info(index))
        (found,) = inference_topdown(model, image[..., ::-1].copy())
        found = found.pred_instances
        np.testing.assert_allclose(
            keypoints[:, :2], found.keypoints[0, :17], atol=0.006
        )
        known = found.keypoint_scores[0, :17] >= 0.1
        assert 0 < known.sum() < 17
        np.testing.assert_array_equal(keypoints[:, 2], 2 * known)


def test_a_wide_image_and_own_configs(photographs, pose_model, run, tmp_path):
    """The config's reading step is left out; weights need not name keypoints."""
    config, weights = pose_model('coco', 17)
    checkpoint = torch.load(weights, weights_only=False)
    torch.save(dict(state_dict=checkpoint['state_dict']), weights)
    config.write_text(config.read_text().replace('LoadImage', 'ReadImage'))
    Image.new('RGB', (33000, 20)).save(photographs / 'wide.png')
    out = tmp_path / 'found.json'
    status, text = run(photographs, config, weights, '--out', out)
    assert status == 0, text
    assert 'wide.png: 20x33000 pixels (h x w) are too narrow or too large' in text
    assert f'wrote {out}: 10 of 13 images' in text
    assert not (photographs / 'keypoints.json').exists()


def test_an_interrupted_command_continues(
    photographs, pose_model, run, tool, monkeypatch
):
    arguments = [photographs, *pose_model('coco', 17), '--batch-size', 5]
    assert run(*arguments)[0] == 0
    expected = (photographs / 'keypoints.json').read_text()
    (photographs / 'keypoints.json').unlink()
    predict, sizes = tool.Predictor.__call__, []

    def stop_after_two_batches(self, *arguments):
        found = list(predict(self, *arguments))
        sizes.append(len(found))
        if len(sizes) == 3:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(tool.Predictor, '__call__', stop_after_two_batches)
    with pytest.raises(KeyboardInterrupt):
        run(*arguments)
    with open(photographs / 'keypoints.part', 'a') as file:
        file.write('{"11.jpg": [1')  # killed while writing
    status, _ = run(*arguments, '--score-thr', 1)
    assert 'keypoints.part: was found with another model or --score-thr' in status
    status, text = run(*arguments)
    assert status == 0, text
    assert sizes == [4, 4, 2, 2]  # images 10 and 11 twice
    assert (photographs / 'keypoints.json').read_text() == expected
    assert not (photographs / 'keypoints.part').exists()


def test_unsuitable_models(photographs, pose_model, run, monkeypatch):
    status, _ = run(photographs, *pose_model('mpii', 16))
    assert 'first keypoints are right_ankle' in status
    config, weights = pose_model('coco', 17)
    torch.save(dict(state_dict=dict(a=torch.zeros(1))), weights)
    assert 'no tensor fits' in run(photographs, config, weights)[0]
    monkeypatch.setitem(sys.modules, 'mmpose.apis', None)
    assert 'tools/install.sh complete' in run(photographs, config, weights)[0]
    assert not (photographs / 'keypoints.json').exists()
