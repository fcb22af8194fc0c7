"""Checkpoints of any content."""

import torch
from fuzzing import SEEDS, VALUES, attempt, changed, fuzzed, spoil
from hypothesis import given
from hypothesis import strategies as st

import saip_mm
from saip_mm.checkpoints.files import write_checkpoint
from saip_mm.checkpoints.loading import load_pretrained
from saip_mm.models import SAIPViT
from saip_mm.training.resuming import check_checkpoint

ARCH = dict(embed_dims=12, num_layers=2, num_heads=2, feedforward_channels=12)
VIT = SAIPViT(arch=ARCH, img_size=(32, 32), middle_block=0)
WEIGHTS = {f'backbone.{name}': tensor for name, tensor in VIT.state_dict().items()}
META = dict(grid=[2, 2], num_heads=2, mean=[1.0, 2.0, 3.0], std=[1.0, 1.0, 1.0])


@fuzzed()
@given(changed(dict(meta=META, epoch=3)), st.sampled_from(sorted(WEIGHTS)), VALUES)
def test_metadata_of_checkpoints(tmp_path, content, name, value):
    path = tmp_path / 'a.pth'
    for state in (WEIGHTS, WEIGHTS | {name: value}):
        torch.save(content | dict(state_dict=state), path)
        attempt(lambda: saip_mm.load_backbone(path), path)
        attempt(lambda: load_pretrained(VIT, path), path)
        attempt(lambda: check_checkpoint(path), path)


@fuzzed()
@given(SEEDS, st.sampled_from(['zip', 'legacy', 'safetensors']))
def test_bytes_of_checkpoints(tmp_path, seed, kind):
    path = tmp_path / ('b.safetensors' if kind == 'safetensors' else 'b.pth')
    state = dict(state_dict=WEIGHTS, meta=META, optimizer={}, message_hub={})
    if kind == 'safetensors':
        write_checkpoint(path, WEIGHTS, META)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == 'zip')
    path.write_bytes(spoil(path.read_bytes(), seed))
    attempt(lambda: saip_mm.load_backbone(path), path)
    attempt(lambda: check_checkpoint(path), path)
