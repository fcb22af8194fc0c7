"""Steps on a GPU, without one: tensors that have a device, but no values.

Whatever would wait for the GPU (``item``, ``nonzero``, indexing with a mask) or mixes
devices raises an error. The backward pass needs a real GPU.
"""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import FUNCTIONS
from mmpretrain.registry import DATASETS, MODELS
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from saip_mm.checkpoints.teachers import find_teacher
from saip_mm.training.config import load_config

CONFIGS = {
    'views of the workers': 'saip_small.py',
    'views made on the device': 'saip_small_128x64.py',
    'TinyViT': 'ablations/saip_small_tinyvit.py',
    'CSPNeXt': 'ablations/saip_small_cspnext.py',
    'reconstruction alone': 'baselines/mae_small.py',
    'HAP': 'hap_vit-tiny.py',
    'SAIP*': 'distillation/saip-star_small.py',
    'DPAL': 'distillation/dpal_small.py',
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTensorMode:
    """Mode of tensors without values, in which CUDA's autocast works without a GPU."""
    common = torch.cuda.amp.common
    monkeypatch.setattr(common, 'amp_definitely_not_available', lambda: False)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda: True)
    monkeypatch.setattr(nn.Module, 'to', lambda module, *_: module)
    return FakeTensorMode()


def move_to_cuda(module: nn.Module) -> None:
    def moved(tensor: torch.Tensor) -> torch.Tensor:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device='cuda')

    for each in module.modules():
        for name, tensor in each._parameters.items():
            if tensor is not None:
                each._parameters[name] = nn.Parameter(
                    moved(tensor), tensor.requires_grad
                )
        for name, tensor in each._buffers.items():
            if tensor is not None:
                each._buffers[name] = moved(tensor)


def batch_of(cfg: Config, keypoints: bool) -> dict[str, torch.Tensor]:
    people = dict(
        type='SyntheticPeople',
        size=(128, 64),
        pipeline=cfg.train_dataloader.dataset.pipeline,
        keypoints=keypoints,
    )
    dataset = DATASETS.build(people)
    collate = FUNCTIONS.get(cfg.train_dataloader.collate_fn.type)
    return collate([dataset[i] for i in range(8)])['inputs']


@pytest.mark.parametrize('name', CONFIGS.values(), ids=CONFIGS)
def test_steps_never_wait_for_the_gpu(name: str, fake: FakeTensorMode):
    cfg = load_config(f'configs/pretrain/{name}')
    model = MODELS.build(cfg.model).train()
    batch = batch_of(cfg, keypoints=name.startswith('hap'))
    teacher = find_teacher(model)
    modules = [model, teacher.network] if teacher else [model]
    with fake:
        inputs = {name: fake.from_tensor(each) for name, each in batch.items()}
        for module in modules:
            move_to_cuda(module)
        model.data_preprocessor._device = torch.device('cuda')
        data = model.data_preprocessor(dict(inputs=inputs, scales=(0.75, 1.25)), True)
        with torch.autocast('cuda', torch.bfloat16):
            losses = model(**data, mode='loss')
        assert {each.device.type for each in losses.values()} == {'cuda'}
        with pytest.raises(DataDependentOutputException):
            bool(next(iter(losses.values())) > 0)
        trained = [each for each in model.parameters() if each.requires_grad]
        for each in trained:
            each.grad = torch.empty_like(each)
        torch.optim.AdamW(trained).step()
        if hasattr(model, 'update_teacher'):
            model.update_teacher(0.99)
        if 'teacher_mean' in losses:
            model.matching.update_center(losses['teacher_mean'])
