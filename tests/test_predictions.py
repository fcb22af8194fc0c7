"""Answers of models against those of the libraries' own inference."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from launch import ROOT, call
from mmengine.registry import init_default_scope
from people_files import person
from PIL import Image
from random_models import write_model

from saip_mm.evaluation.subject import load_subject
from saip_mm.predictions import load_predictor, predict
from saip_mm.training.config import load_config

TRANSFER = ROOT / 'configs/transfer'
COCO = ROOT / 'tests/configs/real_detection.py'
# Means and standard deviations.
IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
CLIP = (122.77, 116.75, 104.09), (68.5, 66.63, 70.32)


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    for number in range(3):
        person(number, 0).resize((60 + 8 * number, 120)).save(folder / f'{number}.png')
    return sorted(map(str, folder.iterdir()))


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    def write(config: Path, **meta) -> Path:
        return write_model(
            tmp_path_factory.mktemp('model') / 'iter_1.pth', config, **meta
        )

    return write


def read(file: str | Path, size: tuple, normalization: tuple, how=Image.BICUBIC):
    """An image, resized to ``size`` (width, height) and normalized."""
    resized = np.asarray(Image.open(file).convert('RGB').resize(size, how), np.float32)
    mean, std = (np.array(values, np.float32) for values in normalization)
    return torch.from_numpy((resized - mean) / std).permute(2, 0, 1)[None]


def test_attributes_are_named(images, checkpoint, tmp_path):
    config = TRANSFER / 'attributes_saip-small.py'
    names = [f'attribute {number}' for number in range(35)]
    path = checkpoint(config, classes=names)
    answers = predict(config, path, images)
    model = load_predictor(config, path).model
    for image, answer in zip(images, answers, strict=True):
        scores = model.head.fc(model.backbone(read(image, (64, 128), IMAGENET))[0])
        expected = scores[0].sigmoid().tolist()
        assert answer == pytest.approx(
            dict(zip(names, expected, strict=True)), abs=0.02
        )
        assert list(answer.values()) == sorted(answer.values(), reverse=True)
    call('tools/predict.py', config, path, Path(images[0]).parent, '--out', tmp_path)
    assert (
        json.loads((tmp_path / 'predictions.json').read_text())['0.png'] == answers[0]
    )
    assert Image.open(tmp_path / '0.png.png').height > 100
    cfg = load_config(str(config))
    cfg.data_preprocessor = cfg.model.pop('data_preprocessor')  # where MMEngine has it
    cfg.model.head.type = f'mmpretrain.{cfg.model.head.type}'
    tested = cfg.test_dataloader
    tested.dataset = dict(type='RepeatDataset', dataset=tested.dataset, times=1)
    cfg.dump(tmp_path / 'top.py')
    assert predict(tmp_path / 'top.py', path, images) == answers


def test_the_gallery_is_ranked_by_similarity(images, checkpoint, tmp_path):
    config = TRANSFER / 'reid_saip-small.py'
    predictor = load_predictor(config, checkpoint(config))
    predictor.index(images)
    found = list(predictor(images[1:2]))
    model = predictor.model
    features = [
        model.head.norm(model.backbone(read(image, (64, 128), IMAGENET))[0])
        for image in images
    ]
    expected = {
        image: torch.cosine_similarity(feature, features[1]).item()
        for image, feature in zip(images, features, strict=True)
    }
    answer = {each['image']: each['similarity'] for each in found[0].answer}
    assert answer == pytest.approx(expected, abs=0.02)
    assert next(iter(answer)) == images[1]
    predictor.draw(found[0], tmp_path / 'neighbors.png')
    assert Image.open(tmp_path / 'neighbors.png').width > 500


def test_sentences_find_images(images, checkpoint, tmp_path):
    pytest.importorskip('open_clip')
    from open_clip.tokenizer import tokenize

    config, sentence = ROOT / 'tests/configs/tiny_text.py', 'a man / ' + 'tall ' * 20
    path = checkpoint(config)
    (answer,) = predict(config, path, [sentence], images)
    model = load_predictor(config, path).model
    (text,) = model.text(tokenize([sentence]))[1]
    expected = {}
    for image in images:
        pixels = read(image, (32, 64), CLIP, Image.BILINEAR)
        feature = model.embed_images(pixels)[0, 0]
        expected[image] = torch.cosine_similarity(feature, text, dim=0).item()
    found = {each['image']: each['similarity'] for each in answer}
    assert found == pytest.approx(expected, abs=0.03)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    gallery = ['--gallery', Path(images[0]).parent, '--out', tmp_path]
    call('tools/predict.py', config, path, sentence, *gallery)
    written = json.loads((tmp_path / 'predictions.json').read_text())
    assert written == {sentence: answer}
    (picture,) = tmp_path.glob('a man _ tall tall *.png')
    assert Image.open(picture).width > 600 and len(picture.stem) == 60
    with pytest.raises(ValueError, match='a query is empty'):
        predict(config, path, [' '], images)


def test_keypoints_are_those_of_mmpose(images, checkpoint, tmp_path):
    apis = pytest.importorskip('mmpose.apis')
    config = TRANSFER / 'pose_saip-small.py'
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    meta = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
    predictor = load_predictor(config, checkpoint(config, **meta))
    found = list(predictor(images))
    predictor.model.cfg, predictor.model.dataset_meta = predictor.cfg, predictor.meta
    for image, prediction in zip(images, found, strict=True):
        (expected,) = apis.inference_topdown(predictor.model, image)
        expected, (answer,) = expected.pred_instances, prediction.answer
        points = np.array(list(answer['keypoints'].values()))
        np.testing.assert_allclose(points[:, :2], expected.keypoints[0], atol=1e-2)
        np.testing.assert_allclose(points[:, 2], expected.keypoint_scores[0], atol=1e-3)
        assert list(answer['keypoints'])[:2] == ['nose', 'left_eye']
        bgr = np.asarray(Image.open(image).convert('RGB'))[..., ::-1].copy()
        (same,) = apis.inference_topdown(predictor.model, bgr)
        np.testing.assert_array_equal(same.pred_instances.keypoints, expected.keypoints)
    for name in ('pose.png', 'again.png'):
        predictor.draw(found[0], tmp_path / name)
    assert Image.open(tmp_path / 'pose.png') == Image.open(tmp_path / 'again.png')
    width, height = Image.open(images[0]).size
    assert Image.open(tmp_path / 'pose.png').size == (3 * width, 3 * height)


@pytest.mark.parametrize('keep_ratio', [False, True])
def test_label_maps_are_those_of_mmseg(keep_ratio, images, checkpoint, tmp_path):
    apis = pytest.importorskip('mmseg.apis')
    config = tmp_path / 'parsing.py'
    config.write_text(f"_base_ = '{TRANSFER}/parsing_saip-small.py'\n")
    if keep_ratio:  # images of several sizes, which are tested one by one
        config.write_text(
            f'{config.read_text()}test_pipeline = _base_.test_pipeline\n'
            'test_pipeline[1].update(keep_ratio=True)\n'
            'padding = dict(size_divisor=8)\n'
            'model = dict(data_preprocessor=dict(test_cfg=padding))\n'
            'dataset = dict(pipeline=test_pipeline)\n'
            'test_dataloader = dict(batch_size=1, dataset=dataset)\n'
        )
    names = load_config(str(config)).train_dataloader.dataset.metainfo.classes
    colors = [[4 * number, 0, 200] for number in range(len(names))]
    predictor = load_predictor(
        config, checkpoint(config, classes=names, palette=colors)
    )
    found = list(predictor(images))
    predictor.model.cfg = predictor.cfg
    init_default_scope('mmseg')
    for image, prediction in zip(images, found, strict=True):
        labels = apis.inference_model(predictor.model, image).pred_sem_seg.data[0]
        expected = {
            names[label]: (labels == label).float().mean().item()
            for label in labels.unique()
        }
        assert prediction.answer == pytest.approx(expected, abs=1e-4)
    predictor.draw(found[0], tmp_path / 'map.png')
    assert Image.open(tmp_path / 'map.png').height == 320


def detect(predictor, image):
    """What MMDetection finds."""
    predictor.model.cfg = predictor.cfg
    init_default_scope('mmdet')
    inference = pytest.importorskip('mmdet.apis').inference_detector
    return inference(predictor.model, image).pred_instances


def test_boxes_are_those_of_mmdet(images, checkpoint, tmp_path):
    pytest.importorskip('mmdet')
    predictor = load_predictor(COCO, checkpoint(COCO, classes=('person',)))
    (found,) = predictor(images[:1])
    expected = detect(predictor, images[0])
    boxes = np.array([each['bbox'] for each in found.answer]).reshape(-1, 4)
    np.testing.assert_allclose(boxes, expected.bboxes.numpy(), atol=1e-2)
    scores = [each['score'] for each in found.answer]
    np.testing.assert_allclose(scores, expected.scores.numpy(), atol=1e-3)
    predictor.cfg.test_dataloader.batch_size = 3
    assert next(predictor(images)).answer == found.answer, 'whatever is beside it'
    (unnamed,) = predict(COCO, checkpoint(COCO), images[:1])
    assert [dict(each, label='person') for each in unnamed] == found.answer
    predictor.draw(found, tmp_path / 'boxes.png')
    width, height = Image.open(images[0]).size
    assert Image.open(tmp_path / 'boxes.png').size == (3 * width, 3 * height)
    predictor.draw(found._replace(answer=[]), tmp_path / 'none.png')
    assert Image.open(tmp_path / 'none.png').width > 3 * width, 'it is said beside'


def test_attributes_of_parts_are_named(images, checkpoint, tmp_path):
    pytest.importorskip('mmdet')
    folder, config = ROOT / 'configs/downstream/part_attributes', tmp_path / 'small.py'
    config.write_text(
        f"_base_ = '{folder}/fashionpedia_attribute-mask-rcnn_saip-vit-tiny.py'\n"
        "small = dict(type='Resize', scale=(128, 128), keep_ratio=True)\n"
        'pipeline = [small if s["type"] == "Resize" else s for s in '
        '_base_.test_pipeline]\n'
        'test_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
    )
    names = [f'attribute {number}' for number in range(294)]
    meta = dict(classes=[f'part {number}' for number in range(47)], attributes=names)
    predictor = load_predictor(config, checkpoint(config, **meta))
    (found,) = predictor(images[:1])
    expected = detect(predictor, images[0])
    for part, scores in zip(found.answer, expected.attributes, strict=True):
        likely = {n: x.item() for n, x in zip(names, scores, strict=True) if x > 0.3}
        assert part['attributes'] == pytest.approx(likely, abs=1e-3)
    assert any(part['attributes'] for part in found.answer)
    predictor.draw(found, tmp_path / 'parts.png')
    assert Image.open(tmp_path / 'parts.png').width > 480


def test_scenes_are_searched_as_in_training(images, checkpoint, tmp_path, capsys):
    config = ROOT / 'configs/pretrain/saip_demo.py'
    path, scene = checkpoint(config), tmp_path / 'scene.png'
    Image.open(images[0]).convert('RGB').resize((250, 120)).save(scene)
    (answer,) = predict(config, path, images[:1], [str(scene)])
    model = load_subject(str(path), str(config)).model
    encoder = model.teacher['encoder']
    tokens = encoder(read(images[0], (64, 128), IMAGENET)).middle_tokens
    # 112 × 112 pixels at 250:120 are 161.7 × 77.6, in patches of 16.
    found = model.find([tokens], read(scene, (160, 80), IMAGENET)).sigmoid()
    assert answer[0]['image'] == str(scene)
    assert answer[0]['score'] == pytest.approx(found.max().item(), abs=0.01)
    (tmp_path / 'gallery').mkdir()
    scene.rename(tmp_path / 'gallery/scene.png')
    (tmp_path / 'gallery/broken.png').write_text('no image')
    options = '--gallery', tmp_path / 'gallery', '--out', tmp_path
    status = call('tools/predict.py', config, path, images[0], *options)
    assert status == '1 unreadable images were left out'
    assert 'broken.png: not an image' in capsys.readouterr().err
    assert Image.open(tmp_path / '0.png.png').height > 320
    with pytest.raises(ValueError, match='needs a gallery of scenes'):
        predict(config, path, images)
    exported = tmp_path / 'backbone.pth'
    call('tools/export_backbone.py', path, '--out', exported)
    with pytest.raises(ValueError, match='backbone.pth: has no search head'):
        predict(config, exported, images, images)
    headless = tmp_path / 'headless.py'
    headless.write_text(f"_base_ = '{config}'\nmodel = dict(search=None)\n")
    with pytest.raises(ValueError, match='headless.py: its model has no search head'):
        predict(headless, path, images, images)
    with pytest.raises(FileNotFoundError, match='no checkpoint random'):
        predict(config, 'random', images, images)


def test_bad_input(images, checkpoint, tmp_path):
    reid, attributes = (
        TRANSFER / f'{task}_saip-small.py' for task in ('reid', 'attributes')
    )
    path, demo = checkpoint(reid), ROOT / 'configs/pretrain/saip_demo.py'
    with pytest.raises(ValueError, match='in its work directory'):
        predict(attributes, path, images)
    with pytest.raises(ValueError, match='needs a gallery'):
        predict(reid, path, images)
    with pytest.raises(TypeError, match="put 'a red coat' in a list"):
        predict(reid, path, 'a red coat')
    with pytest.raises(TypeError, match="put 'gallery' in a list"):
        predict(reid, path, images, Path('gallery'))
    with pytest.raises(ValueError, match='gives no answer'):
        predict(ROOT / 'configs/pretrain/hap_vit-tiny.py', path, images)
    (tmp_path / 'text.png').write_text('no image')
    with pytest.raises(OSError, match='text.png'):
        predict(reid, path, [str(tmp_path / 'text.png')], images)
    for config, model in ((reid, path), (demo, checkpoint(demo))):
        with pytest.raises(OSError, match='text.png: not an image'):
            load_predictor(config, model).index([str(tmp_path / 'text.png')], [])
