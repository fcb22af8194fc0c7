"""Reading files from outside, and loading what they hold."""

import argparse
import builtins
import pickle
import zipfile

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.models.backbones import VisionTransformer
from torch import nn

from saip_mm.engine.backbone import with_metadata
from saip_mm.engine.checkpoint import (
    load_pretrained,
    load_weights,
    read_checkpoint,
    resize_positions,
    resolve_checkpoint,
    write_checkpoint,
)
from saip_mm.models import SAIPViT

ARCH = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)


def vit(img_size=(64, 32), arch=ARCH, **options):
    torch.manual_seed(0)
    model = SAIPViT(arch=arch, img_size=img_size, middle_block=0, **options)
    model.init_weights()
    return model


def backbone_file(path, model, prefix='backbone.'):
    state_dict = with_metadata(model.state_dict(), prefix, model.patch_resolution, 2)
    write_checkpoint(path, state_dict, dict(grid=list(model.patch_resolution)))
    return path


class Trap:
    """Pickles as a call that writes a file."""

    def __init__(self, marker, function=exec):
        self.call = function, (f"open({str(marker)!r}, 'w').close()",)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize(
    'wrap',
    [
        lambda trap: trap,
        lambda trap: dict(state_dict=dict(w=torch.ones(1)), meta=dict(config=trap)),
        lambda trap: dict(args=argparse.Namespace(epochs=trap)),
    ],
)
def test_nothing_in_a_file_is_run(tmp_path, wrap, zipped):
    marker, path = tmp_path / 'marker', tmp_path / 'trap.pth'
    torch.save(wrap(Trap(marker)), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match='trap.pth was refused for safety.* exec'):
        read_checkpoint(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Trap(marker)))
    assert marker.exists(), 'the trap itself does not work'


def test_getattr_in_a_file_reaches_nothing(tmp_path):
    class Reach:
        def __reduce__(self):
            return builtins.getattr, (HistoryBuffer, '__init__')

    torch.save(dict(reached=Reach()), tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['reached'] == '__init__'


def test_history_does_not_bring_functions(tmp_path):
    class Forged(HistoryBuffer):
        def __reduce__(self):
            state = dict(self.__getstate__(), statistics_methods=dict(mean=42))
            return HistoryBuffer, (), state

    torch.save(dict(loss=Forged([1.0, 3.0], [1, 1])), tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['loss'].mean() == 2


class Tiny(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.linear(inputs).square().mean())


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    """Work directory of a short MMEngine training, with all that it may save."""
    work_dir = tmp_path_factory.mktemp('work_dir')
    Runner(
        Tiny(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=[dict(inputs=torch.ones(3))] * 4,
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=4),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, end=2, by_epoch=False),
            dict(type='CosineAnnealingLR', T_max=4, by_epoch=False),
        ],
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=4)
        ),
        custom_hooks=[dict(type='EMAHook')],
        log_level='ERROR',
    ).train()
    return work_dir


def test_training_checkpoint_is_read_whole(work_dir):
    ours = read_checkpoint(work_dir / 'iter_4.pth')
    trusted = torch.load(work_dir / 'iter_4.pth', weights_only=False)
    torch.testing.assert_close(ours['optimizer'], trusted['optimizer'])
    torch.testing.assert_close(ours['state_dict'], trusted['state_dict'])
    assert str(ours['param_schedulers']) == str(trusted['param_schedulers'])
    losses, expected = (
        each['message_hub']['log_scalars']['train/loss'] for each in (ours, trusted)
    )
    assert type(losses) is HistoryBuffer
    np.testing.assert_array_equal(losses.data, expected.data)


def test_names_of_numpy_1_and_2_are_read(tmp_path):
    path, renamed = tmp_path / 'new.pth', tmp_path / 'old.pth'
    torch.save(dict(scores=np.arange(3.0), best=np.float64(2)), path)
    with zipfile.ZipFile(path) as new, zipfile.ZipFile(renamed, 'w') as old:
        for name in new.namelist():
            content = new.read(name)
            swapped = content.replace(b'numpy._core.', b'numpy.core.')
            if swapped == content:
                swapped = content.replace(b'numpy.core.', b'numpy._core.')
            old.writestr(name, swapped)
    for each in path, renamed:
        assert read_checkpoint(each)['scores'].tolist() == [0, 1, 2]
        assert read_checkpoint(each)['best'] == 2


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_damaged_files(tmp_path, suffix):
    whole = backbone_file(tmp_path / f'whole{suffix}', vit()).read_bytes()
    damaged = tmp_path / f'damaged{suffix}'
    contents = [whole[: len(whole) * part // 8] for part in range(8)]
    for content in [*contents, b'\0' * 4096]:
        damaged.write_bytes(content)
        with pytest.raises(ValueError, match=f'damaged{suffix}.* is damaged, incompl'):
            read_checkpoint(damaged)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_changed_bytes_give_only_clear_errors(tmp_path, suffix, data):
    tiny = dict(state_dict=dict(w=torch.ones(2)), meta=dict(grid=[2, 1]))
    write_checkpoint(tmp_path / f'tiny{suffix}', **tiny)
    content = bytearray((tmp_path / f'tiny{suffix}').read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    changed = tmp_path / f'changed{suffix}'
    changed.write_bytes(content)
    try:
        load_pretrained(nn.Linear(1, 2), changed)
    except ValueError as error:
        assert 'changed' in str(error)


def test_files_without_weights(tmp_path):
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match='list.pth holds no state dict but a list'):
        read_checkpoint(tmp_path / 'list.pth')
    torch.save(dict(epoch=3), tmp_path / 'epoch.pth')
    with pytest.raises(ValueError, match="epoch.pth: holds no state dict .* 'epoch'"):
        load_pretrained(vit(), tmp_path / 'epoch.pth')
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        read_checkpoint(tmp_path / 'nowhere.pth')


@pytest.mark.parametrize(
    'unusual', [torch.empty(3, 2, device='meta'), torch.ones(3, 2).to_sparse()]
)
def test_unusual_tensors_are_refused(tmp_path, unusual):
    torch.save(dict(weight=unusual, cls_token=torch.ones(1)), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='a.pth: keeps weight as something else'):
        load_pretrained(nn.Linear(2, 3), tmp_path / 'a.pth')


def test_killed_while_naming_the_checkpoint_the_newest_is_taken(tmp_path):
    (tmp_path / 'last_checkpoint').touch()
    with pytest.raises(FileNotFoundError, match='is empty: name a checkpoint file'):
        resolve_checkpoint(tmp_path)
    for name in ('epoch_9.pth', 'epoch_10.pth', 'backbone_11.pth'):
        (tmp_path / name).touch()
    assert resolve_checkpoint(tmp_path) == tmp_path / 'epoch_10.pth'


def test_work_dir_means_its_latest_checkpoint(tmp_path, work_dir):
    latest = work_dir / 'iter_4.pth'
    assert resolve_checkpoint(work_dir) == latest
    assert resolve_checkpoint(work_dir / 'last_checkpoint') == latest
    assert resolve_checkpoint(latest) == latest
    (tmp_path / 'last_checkpoint').write_text('/moved/away/iter_8.pth')
    with pytest.raises(FileNotFoundError, match='last_checkpoint points to .*iter_8'):
        resolve_checkpoint(tmp_path)
    (tmp_path / 'iter_8.pth').touch()
    assert resolve_checkpoint(tmp_path) == tmp_path / 'iter_8.pth'


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    write_checkpoint(path, dict(w=torch.ones(1)), {})

    def full_disk(content, file):
        file.write_bytes(b'half')
        raise OSError('no space left on device')

    monkeypatch.setattr(torch, 'save', full_disk)
    with pytest.raises(OSError, match='no space'):
        write_checkpoint(path, dict(w=torch.zeros(1)), {})
    assert read_checkpoint(path)['state_dict']['w'] == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('target', [(9, 5), (3, 7), (8, 16), (16, 8)])
def test_positions_are_resized_like_opencv_does(target):
    grid = np.random.default_rng(0).standard_normal((16, 8, 3)).astype(np.float32)
    pos_embed = torch.from_numpy(np.concatenate([np.ones((1, 3)), grid.reshape(-1, 3)]))
    resized = resize_positions(pos_embed[None].float(), (16, 8), target)
    expected = cv2.resize(grid, target[::-1], interpolation=cv2.INTER_CUBIC)
    assert (resized[0, 0] == 1).all()
    np.testing.assert_allclose(resized[0, 1:], expected.reshape(-1, 3), atol=1e-5)


def test_positions_need_their_own_grid():
    with pytest.raises(ValueError, match='1×129×3 is not .* patch grid of 14×14'):
        resize_positions(torch.zeros(1, 129, 3), (14, 14), (16, 8))


def test_report_counts_and_names():
    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    before = target.weight.clone()
    state_dict = dict(weight=source.weight.detach(), scale=torch.ones(1))
    counted = '1 of 2 tensors matched; 1 missing: bias; 1 unexpected: scale'
    with pytest.raises(ValueError, match=f'does not fit this Linear: {counted}'):
        load_weights(target, state_dict)
    assert torch.equal(target.weight, before)
    state_dict = {**source.state_dict(), 'head.weight': torch.ones(1)}
    report = load_weights(target, state_dict)
    assert str(report) == '2 of 2 tensors matched; 1 left out: head.weight'
    assert torch.equal(target.weight, source.weight)


def test_misfits_are_errors_and_change_nothing():
    module = nn.Linear(2, 3)
    before = module.weight.clone()
    with pytest.raises(ValueError, match='weight is 5×2, the model needs 3×2'):
        load_weights(module, dict(weight=torch.ones(5, 2), bias=torch.ones(3)))
    with pytest.raises(ValueError, match='nothing in it fits Linear: 0 of 2 tensors'):
        load_weights(module, dict(kernel=torch.ones(3, 2)))
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_backbone_from_init_cfg(tmp_path, suffix):
    source = vit()
    path = backbone_file(tmp_path / f'a{suffix}', source)
    init_cfg = dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')
    torch.testing.assert_close(
        dict(vit(init_cfg=init_cfg).state_dict()), dict(source.state_dict())
    )
    init_cfg['checkpoint'] = str(tmp_path / 'other.pth')
    backbone_file(tmp_path / 'other.pth', source, 'neck.')
    with pytest.raises(ValueError, match="no weights under 'backbone.'.* with neck"):
        vit(init_cfg=init_cfg)


@pytest.mark.parametrize('make', [vit, lambda size: VisionTransformer(ARCH, size)])
def test_transposed_grid_is_resized(tmp_path, make):
    source = vit(img_size=(64, 32))
    path = backbone_file(tmp_path / 'a.pth', source)
    target = make((32, 64))
    report = load_pretrained(target, path)
    assert report.resized == [('pos_embed', (4, 2), (2, 4))]
    assert 'resized: pos_embed from 4×2 to 2×4' in str(report)
    expected = resize_positions(source.pos_embed, (4, 2), (2, 4))
    assert torch.equal(target.pos_embed, expected)
    assert not torch.equal(target.pos_embed, source.pos_embed)


def test_grid_is_asked_for_and_believed_once(tmp_path):
    source = vit()
    torch.save(dict(source.state_dict()), tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match=r'bare.pth: .* which patch grid '):
        load_pretrained(vit(), tmp_path / 'bare.pth')
    report = load_pretrained(vit((32, 64)), tmp_path / 'bare.pth', source_grid=(4, 2))
    assert report.resized
    torch.save(source.state_dict(), tmp_path / 'knows.pth')
    with pytest.raises(ValueError, match=r'grid of 4×2 .* not on source_grid=\(2, 4\)'):
        load_pretrained(vit(), tmp_path / 'knows.pth', source_grid=(2, 4))


def test_other_architectures_are_refused(tmp_path):
    path = backbone_file(tmp_path / 'a.pth', vit())
    wide = dict(ARCH, feedforward_channels=96)
    with pytest.raises(ValueError, match=r'layers.0.ffn.layers.0.0.weight is 64×32'):
        load_pretrained(vit(arch=wide), path)
    with pytest.raises(ValueError, match='has 2 attention heads, the model has 4'):
        load_pretrained(vit(arch=dict(ARCH, num_heads=4)), path)
