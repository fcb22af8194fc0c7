"""Backbones from Python, against MMPretrain's ViT and Pillow."""

import math
import re
import warnings

import numpy as np
import pytest
import torch
from launch import call
from mmpretrain.models.backbones import VisionTransformer
from PIL import Image
from random_models import ARCH, MEAN, STD, write_saip

import saip_mm
from saip_mm.data.images import ImageError

SIZE = (64, 32)


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    return tmp_path_factory.mktemp('work_dir')


@pytest.fixture(scope='module', autouse=True)
def model(work_dir):
    return write_saip(work_dir, 0.3, arch=ARCH, img_size=SIZE)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Images of different sizes, as files and as arrays."""
    folder, rng = tmp_path_factory.mktemp('photos'), np.random.default_rng(0)
    files, arrays = [], []
    for i, (h, w) in enumerate([(64, 32), (200, 90), (31, 77), (64, 32), (130, 60)]):
        noise = rng.integers(0, 256, (8, 4, 3), dtype=np.uint8)
        arrays.append(np.array(Image.fromarray(noise).resize((w, h))))
        files.append(folder / f'{i}.png')
        Image.fromarray(arrays[-1]).save(files[-1])
    return files, arrays


def expected(backbone, arrays):
    """Class token and map of MMPretrain's ViT for images resized by Pillow."""
    bicubic = Image.Resampling.BICUBIC
    images = np.stack([Image.fromarray(a).resize(SIZE[::-1], bicubic) for a in arrays])
    images = torch.from_numpy((images - np.float32(MEAN)) / np.float32(STD))
    outputs = []
    for out_type in ('cls_token', 'featmap'):
        vit = VisionTransformer(ARCH, SIZE, out_type=out_type)
        tensors = {name: value.clone() for name, value in backbone.state_dict().items()}
        vit.load_state_dict(tensors)
        with torch.no_grad():
            outputs.append(vit(images.permute(0, 3, 1, 2))[0])
    return outputs


def same(features, reference):
    """Equal except for the last bit of resized pixels."""
    assert features.shape == reference.shape and features.device.type == 'cpu'
    torch.testing.assert_close(features, reference, rtol=0, atol=0.02)
    assert reference.std() > 0.1
    difference = (features - reference).square().mean().sqrt() / reference.std()
    assert difference < 5e-3


def test_features_are_those_of_the_plain_vit(model, work_dir, photos):
    files, arrays = photos
    backbone = saip_mm.load_backbone(work_dir)
    image, patches = expected(model.teacher['encoder'].backbone, arrays)
    same(saip_mm.embed(backbone, arrays), image)
    same(saip_mm.embed(backbone, files, batch_size=2), image)
    same(saip_mm.embed(backbone, [str(files[0]), *arrays[1:]], patches=True), patches)
    upper, lower = patches[:, :, :2].mean((2, 3)), patches[:, :, 2:].mean((2, 3))
    unit = image, torch.stack([upper, lower], dim=2).flatten(1)
    unit = torch.cat([x / x.norm(dim=1, keepdim=True) for x in unit], dim=1)
    same(saip_mm.embed(backbone, arrays, stripes=2), unit)
    stacked = np.stack([arrays[0], arrays[3]])
    stacked.setflags(write=False)  # as NumPy's views of Pillow's images
    same(saip_mm.embed(backbone, stacked), image[[0, 3]])


def test_the_student(model, work_dir, photos):
    image, _ = expected(model.backbone, photos[1])
    backbone = saip_mm.load_backbone(work_dir / 'iter_1.pth', role='student')
    same(saip_mm.embed(backbone, photos[1]), image)


def test_images_of_pillow(work_dir, photos):
    backbone = saip_mm.load_backbone(work_dir)
    features = saip_mm.embed(backbone, photos[0])
    opened = [Image.open(file) for file in photos[0]]
    assert torch.equal(saip_mm.embed(backbone, opened), features)
    gray = opened[1].convert('L')
    expected = saip_mm.embed(backbone, [np.stack([np.asarray(gray)] * 3, axis=2)])
    assert torch.equal(saip_mm.embed(backbone, [gray]), expected)
    with pytest.raises(ImageError, match=re.escape('images[1]: 32 bits per value')):
        saip_mm.embed(backbone, [gray, gray.convert('F')])


def test_any_size_of_whole_patches(work_dir, photos, tmp_path):
    backbone = saip_mm.load_backbone(work_dir)
    out = tmp_path / 'large.pth'
    options = ['--out', out, '--img-size', 96, 80]
    assert not call('tools/export_backbone.py', work_dir, *options)
    large = saip_mm.load_backbone(out)
    assert large.img_size == (96, 80)
    features = saip_mm.embed(backbone, photos[1], img_size=(96, 80), patches=True)
    assert features.shape == (5, 24, 6, 5)
    torch.testing.assert_close(features, saip_mm.embed(large, photos[1], patches=True))
    square = saip_mm.embed(backbone, photos[1], img_size=64)
    assert torch.equal(square, saip_mm.embed(backbone, photos[1], img_size=(64, 64)))


def test_a_generator_is_read_in_batches(work_dir, photos, monkeypatch):
    backbone = saip_mm.load_backbone(work_dir)
    expected = saip_mm.embed(backbone, photos[1], batch_size=2)
    given, held = [], []

    def images():
        for image in photos[1]:
            given.append(image)
            yield image

    forward = backbone.forward
    monkeypatch.setattr(
        backbone, 'forward', lambda batch: held.append(len(given)) or forward(batch)
    )
    assert torch.equal(saip_mm.embed(backbone, images(), batch_size=2), expected)
    assert held == [4, 5, 5]  # one batch ahead
    assert saip_mm.embed(backbone, iter([]), patches=True).shape == (0, 24, 4, 2)


def test_on_a_gpu(work_dir, photos):
    if not torch.cuda.is_available():
        pytest.skip('there is no GPU')
    features = [
        saip_mm.embed(saip_mm.load_backbone(work_dir, device=device), photos[1])
        for device in ('cpu', 'cuda')
    ]
    torch.testing.assert_close(*features, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    'images, error, message',
    [
        (lambda f, a: [a[0], a[1] / 255.0], TypeError, 'images[1] is neither'),
        (lambda f, a: [a[0][..., 0]], TypeError, 'but uint8 [64, 32]'),
        (lambda f, a: [a[0][..., :2]], TypeError, 'but uint8 [64, 32, 2]'),
        (lambda f, a: [a[0][:0]], TypeError, 'but uint8 [0, 32, 3]'),
        (lambda f, a: [None], TypeError, 'but NoneType'),
        (lambda f, a: a[0], TypeError, 'in a list'),
        (lambda f, a: str(f[0]), TypeError, 'in a list'),
        (lambda f, a: b'\x89PNG', TypeError, 'in a list'),
        (lambda f, a: Image.fromarray(a[0]), TypeError, 'in a list'),
        (lambda f, a: [f[0], 'none.png'], ImageError, 'none.png: no such'),
    ],
)
def test_bad_images(work_dir, photos, images, error, message):
    with pytest.raises(error) as found:
        saip_mm.embed(saip_mm.load_backbone(work_dir), images(*photos))
    assert message in str(found.value)


def test_images_that_are_normalized_already(work_dir):
    images = torch.rand(2, 3, *SIZE) * 255
    for given in (images, images.clamp(max=12), images.byte() // 64):
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            saip_mm.load_backbone(work_dir)(given)
    for given in (images / 255, (images - 110) / 50):
        backbone = saip_mm.load_backbone(work_dir)
        with pytest.warns(UserWarning, match='which it normalizes itself'):
            backbone(given)
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # once per backbone
        backbone(given)
        saip_mm.load_backbone(work_dir)(given[:0])
        saip_mm.embed(saip_mm.load_backbone(work_dir), [])
        torch.export.export(saip_mm.load_backbone(work_dir), (given,))
        saip_mm.load_backbone(work_dir, device='meta')(given.to('meta'))


def test_a_saved_state_dict_is_a_backbone(work_dir, photos, tmp_path):
    backbone = saip_mm.load_backbone(work_dir)
    torch.save(backbone.state_dict(), tmp_path / 'own.pth')
    again = saip_mm.load_backbone(tmp_path / 'own.pth')
    assert again.mean.flatten().tolist() == list(MEAN)
    expected = saip_mm.embed(backbone, photos[1])
    assert torch.equal(saip_mm.embed(again, photos[1]), expected)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_low_precision_normalizes_exactly(dtype):
    backbone = saip_mm.load_backbone('saip-small')
    images = torch.full((1, 3, 128, 64), 235.0)
    images[:, :, 32:96, 16:48] = torch.tensor([180.0, 60.0, 40.0]).view(3, 1, 1)
    normalized = (images - backbone.mean) / backbone.std
    expected = saip_mm.load_backbone('saip-small').backbone.to(dtype)
    found = backbone.to(dtype)(images)
    assert found.image.dtype == dtype
    map_ = expected(normalized.to(dtype))[-1]
    torch.testing.assert_close(found.patches, map_, rtol=0, atol=0)
    assert backbone.to('meta').mean.device.type == 'meta'


def test_a_backbone_in_training_mode(work_dir, photos):
    backbone = saip_mm.load_backbone(work_dir)
    for module in (backbone, backbone.backbone):
        module.train()
        with pytest.raises(ValueError, match='call backbone.eval'):
            saip_mm.embed(backbone, photos[1])
        saip_mm.embed(backbone.eval(), photos[1])


def test_bad_files_and_arguments(model, work_dir, photos, tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint none.pth'):
        saip_mm.load_backbone('none.pth')
    with pytest.raises(ValueError, match="role='techer' is not one of teacher, stud"):
        saip_mm.load_backbone(work_dir, role='techer')
    with pytest.raises(ValueError, match='batch_size=0'):
        saip_mm.embed(saip_mm.load_backbone(work_dir), photos[1], batch_size=0)
    for stripes in (-1, 2):
        with pytest.raises(ValueError, match=f'stripes={stripes}'):
            saip_mm.embed(
                saip_mm.load_backbone(work_dir), [], patches=True, stripes=stripes
            )
    with pytest.raises(ValueError, match='img_size=.60, 32. is not'):
        saip_mm.embed(saip_mm.load_backbone(work_dir), [], img_size=(60, 32))
    with pytest.raises(ValueError, match='img_size=.0, 0. is not'):
        saip_mm.embed(saip_mm.load_backbone(work_dir), [], img_size=0)
    with pytest.raises(TypeError, match='from load_backbone, not a list'):
        saip_mm.embed(photos[0], saip_mm.load_backbone(work_dir))
    file = tmp_path / 'bare.pth'
    tensors = model.backbone.state_dict()
    torch.save({f'net.vit.{k}': v for k, v in tensors.items()}, file)
    with pytest.raises(ValueError, match="bare.pth: has a ViT under 'net.vit.': remov"):
        saip_mm.load_backbone(file)
    backbone = {f'backbone.{k}': v for k, v in tensors.items()}
    for name, values in (
        ('mean', [1, 2]),
        ('mean', [1.0, math.nan, 2.0]),
        ('std', [1.0, math.nan, 2.0]),
        ('std', [1.0, math.inf, 2.0]),
    ):
        torch.save(dict(state_dict=backbone, meta={name: values}), file)
        said = re.escape(f'bare.pth: states {values} as the {name}')
        with pytest.raises(ValueError, match=said):
            saip_mm.load_backbone(file)
    meta = dict(grid=[4, 2], num_heads=7)
    torch.save(dict(state_dict=backbone, meta=meta), file)
    with pytest.raises(ValueError, match=r'bare.pth: states 7 attention heads'):
        saip_mm.load_backbone(file)
