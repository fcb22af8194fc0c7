"""Re-identification and attributes of photographs; which token is read."""

import numpy as np
import pytest
import torch
from people_files import write_market1501
from PIL import Image
from sklearn.decomposition import PCA

from saip_mm.evaluation import RealPeople, Subject, probe_real
from saip_mm.evaluation.features import BaselineFeatures, Embedded
from saip_mm.evaluation.readout import fit_whitening
from saip_mm.evaluation.tokens import (
    choose_readout,
    probe_attributes,
    probe_reid,
    rank_me,
)

COLORS = Subject(BaselineFeatures('mean-color', (64, 32)))


def save(path, color, size=(48, 24)):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.new('RGB', size[::-1], color).save(path)


def test_market_names_say_who_is_who(tmp_path):
    red, green, blue = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    save(tmp_path / 'query/0002_c1s1_000451_03.png', red)
    save(tmp_path / 'query/0007_c1s1_000001_00.png', blue)  # nowhere else
    gallery = tmp_path / 'bounding_box_test'
    save(gallery / '0002_c1s1_000452_01.png', red)  # the same camera: ignored
    save(gallery / '-1_c2s1_000001_01.png', red)  # junk: ignored
    save(gallery / '0000_c3s1_000001_01.png', red)  # a distractor: wrong
    save(gallery / '0002_c2s1_000001_01.png', (200, 20, 0))  # the second
    save(gallery / '0002_c3s1_000001_01.png', green)  # the last
    save(gallery / '0005_c2s1_000001_01.png', (200, 90, 0))  # the third
    scores = probe_reid(COLORS, tmp_path)
    expected = {
        f'{tmp_path.name}/mAP': (1 / 2 + 2 / 4) / 2,
        f'{tmp_path.name}/rank1': 0,
    }
    assert scores == pytest.approx(expected)


def test_market_folders_that_cannot_be_used(tmp_path):
    save(tmp_path / 'query/0002_c1s1_000451_03.png', (1, 2, 3))
    gallery = tmp_path / 'bounding_box_test'
    save(gallery / '0003_c2s1_000451_03.png', (1, 2, 3))
    with pytest.raises(ValueError, match='none of 1 queries'):
        probe_reid(COLORS, tmp_path)
    for name in ('me.png', 'you.png'):  # found before any image is read
        save(gallery / name, (1, 2, 3))
    (tmp_path / 'query/0003_c1s1_000451_03.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'me.png: the name does not.*and 1 more'):
        probe_reid(COLORS, tmp_path)


def test_whitening_is_that_of_scikit_learn(monkeypatch):
    monkeypatch.setattr('saip_mm.evaluation.readout.SHRINKAGE', 0)
    rng = torch.Generator().manual_seed(0)
    mixing = torch.randn(160, 160, generator=rng)
    features = torch.randn(300, 160, generator=rng) @ mixing
    found = fit_whitening(features, 100)(features)
    expected = PCA(100, whiten=True, svd_solver='full').fit_transform(features)
    # Directions have no sign; they divide by n - 1.
    expected = torch.from_numpy(expected).abs() * (300 / 299) ** 0.5
    torch.testing.assert_close(found.abs(), expected.double(), rtol=1e-3, atol=1e-3)


def test_effective_rank(tmp_path):
    """By hand: n equal singular values have rank n; one direction has rank 1."""
    basis = torch.linalg.qr(torch.randn(20, 7)).Q
    assert rank_me(basis) == pytest.approx(7, rel=1e-5)
    assert rank_me(torch.randn(20, 1) @ torch.randn(1, 7)) == pytest.approx(1, abs=1e-4)
    values = np.array([3.0, 1.0])
    shares = values / values.sum()
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert rank_me(basis[:, :2] * torch.tensor([3.0, 1.0])) == pytest.approx(expected)
    for i, color in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 0)]):
        save(tmp_path / f'{i}.png', color)
    (tmp_path / 'cut.png').write_bytes((tmp_path / '0.png').read_bytes()[:40])
    (scores,) = probe_real(COLORS, RealPeople(unlabeled=tmp_path))
    values = np.sqrt([2, 1, 1])
    shares = values / values.sum()
    rank = np.exp(-(shares * np.log(shares)).sum())
    unit = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    spread = np.sqrt(unit.var(axis=0).sum())
    name = tmp_path.name
    assert scores == pytest.approx({f'{name}/RankMe': rank, f'{name}/spread': spread})
    for path in tmp_path.glob('[0-9].png'):
        path.unlink()
    with pytest.raises(ValueError, match='none of the 1 images can be read'):
        next(probe_real(COLORS, RealPeople(unlabeled=tmp_path)))


class ColorInTheMiddle:
    """The image token is noise, the middle token shows the color."""

    size, has_patches = (64, 32), False

    def __call__(self, images, patches=False):
        noise = torch.randn(len(images), 8, generator=torch.Generator().manual_seed(0))
        return Embedded(dict(image=noise, middle=images.float().mean((2, 3)) - 128))


def test_readouts_are_chosen_on_training_people(tmp_path):
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (20, 3))
    for pid, color in enumerate(colors, 1):
        part = 'bounding_box_train' if pid <= 12 else 'bounding_box_test'
        for camera in (1, 2):
            path = tmp_path / part / f'{pid:04}_c{camera}s1_000001_01.png'
            save(path, tuple(color.tolist()))
            if part.endswith('test') and camera == 1:
                save(tmp_path / 'query' / path.name, tuple(color.tolist()))
    subject = Subject(ColorInTheMiddle())
    assert probe_reid(subject, tmp_path)[f'{tmp_path.name}/mAP'] == 1
    for path in (tmp_path / 'bounding_box_train').glob('*_c2*'):
        path.unlink()
    with pytest.raises(ValueError, match='bounding_box_train: none of 6 queries'):
        probe_reid(subject, tmp_path)


def test_tokens_are_whitened_where_that_helps():
    rng = torch.Generator().manual_seed(0)
    people = torch.randn(50, 16, generator=rng).repeat(2, 1)  # seen by two cameras
    lighting = 20 * torch.randn(100, 1, generator=rng)

    def found(readout):  # the share of people who are their own nearest neighbors
        features = torch.nn.functional.normalize(readout(tokens).double(), dim=1)
        nearest = (features[:50] @ features[50:].T).argmax(dim=1)
        return (nearest == torch.arange(50)).double().mean().item()

    tokens = dict(image=torch.cat([people, lighting], dim=1))
    readout = choose_readout(tokens, found)
    assert str(readout) == 'image token, whitened'
    plain = choose_readout(tokens, found, whiten=False)
    assert str(plain) == 'image token' and found(plain) < 0.5 < found(readout)
    tokens = dict(image=people)
    assert str(choose_readout(tokens, found)) == 'image token'  # the first of equals


def attribute_file(folder):
    rows = [
        f'{split}/{i}.png,{split}{i // 2},{split},{i // 2 % 3 % 2},0'
        for split in ('train', 'test')
        for i in range(24)
    ]
    for row in rows:
        path, *_, red, _ = row.split(',')
        save(folder / path, (200 * (red == '1'), 90, 90))
    file = folder / 'labels.csv'
    file.write_text('\n'.join(['path,identity,split,red,never', *rows]))
    return file


def test_attributes_of_a_csv_file(tmp_path):
    file = attribute_file(tmp_path / 'people')
    assert probe_attributes(Subject(ColorInTheMiddle()), file) == {'people/mA': 1.0}
    with open(file, 'a') as opened:
        opened.write('\n,,,,\n,,,,\n')  # as Excel may end files
    assert probe_attributes(Subject(ColorInTheMiddle()), file) == {'people/mA': 1.0}


def test_folders_named_like_probes_of_drawn_people(tmp_path):
    """Their scores do not replace those of drawn people."""
    file = attribute_file(tmp_path / 'mine/attributes')
    folder = write_market1501(tmp_path / 'mine/reid')
    reid, attributes = probe_real(COLORS, RealPeople(reid=[folder], attributes=file))
    assert [*reid] == ['mine-reid/mAP', 'mine-reid/rank1']
    assert [*attributes] == ['mine-attributes/mA']


@pytest.mark.parametrize(
    'old, new, message',
    [
        ('path', 'file', 'needs the columns path, split.* and has file, identity'),
        ('train5,train,0', 'train5,val,0', "split is 'val': write train or test"),
        ('train5,train,0', 'train5,train,2', "line 12: red is '2': write 0 or 1"),
        ('never\n', 'never,more\n\n', 'line 3: should have 6 values'),
        ('red,never', 'red', 'line 2: should have 4 values'),
        ('red,never', 'red,', 'a column has no name; name it, or remove it'),
        ('never', 'red', r'\.csv: has more than one column red; rename or remove'),
        ('train,', 'test,', 'no row has the split train'),
        ('test/7.png', 'train/7.png', '1 images are in both splits, such as train/7.'),
        ('test/7.png', './train/7.png', '1 images are in both splits, such as train/7'),
        (',1,', ',0,', 'no attribute varies both among'),
        ('test/7.png', 'test/no.png', r'1 of 48 .*test/no.png \(line \d+\); paths are'),
        (',', ';', 'has path;identity;.*; save it with commas between columns'),
    ],
)
def test_attribute_files_that_cannot_be_used(tmp_path, old, new, message):
    file = attribute_file(tmp_path)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises((OSError, ValueError), match=message):
        probe_attributes(Subject(ColorInTheMiddle()), file)
