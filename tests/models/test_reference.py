"""SAIP.loss against numbers of the authors' model, and of the plain SAIP."""

import reference_case as reference
import torch
from launch import ROOT
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from saip_mm.checkpoints.names import from_official
from saip_mm.models.weights import load_weights

CONFIG = ROOT / 'configs/pretrain/saip_vit-tiny.py'


def build_model(case: dict) -> nn.Module:
    """The configured model at the case's sizes, with the case's weights."""
    options, shapes = case['config'], case['official_state_dict_shapes']
    model = Config.fromfile(CONFIG).model
    model.matching.out_channels = options['csm_out_dim']
    model.reconstruction.mask_ratio = options['mask_ratio']
    height, width = size = options['img_size']
    grid = (height // 16, width // 16)
    assert shapes['backbone.pos_embed'][1] == 1 + grid[0] * grid[1]
    model.backbone.img_size = model.reconstruction.img_size = size
    model = MODELS.build(model)
    load_weights(model, from_official(*reference.draw_weights(case), grid=grid))
    return model.train()


def to_inputs(views: dict[str, Tensor]) -> dict[str, Tensor]:
    """Views under the names of ``SAIP.loss``."""
    locals_ = [view for name, view in views.items() if 'local' in name]
    masks = views['inst_mask'], views['roi_mask']
    same = {name: views[name] for name in ('roi', 'inst', 'csr', 'csr_noise', 'scene')}
    return same | dict(
        globals=torch.stack([views['global_0'], views['global_1']], dim=1),
        locals=torch.stack(locals_, dim=1),
        scene_masks=torch.stack(masks, dim=1),
    )


def run_saip(case: dict) -> dict[str, float]:
    """The quantities of a case. It moves the center, but not the weights."""
    model, seen, found = build_model(case), {}, {}
    for name, part in dict(
        csm=model.matching.projector, csr=model.reconstruction, css=model.search
    ).items():
        part.register_forward_hook(
            lambda _, inputs, output, name=name: seen.update({name: output})
        )
    parts = dict(
        backbone=model.student['encoder'],
        csm_decoder=model.matching,
        csr_decoder=model.reconstruction,
        css_decoder=model.search,
    )
    for step in range(case['config']['steps']):
        model.zero_grad()
        losses = model.loss(to_inputs(reference.draw_views(case, step)))
        model.matching.update_center(losses.pop('teacher_mean'))
        losses = {name: value for name, value in losses.items() if 'loss' in name}
        sum(losses.values()).backward()
        gradients = {
            theirs: [p.grad for p in ours.parameters()]
            for theirs, ours in parts.items()
        }
        outputs = dict(csm_logits=seen['csm'], csr_pred=seen['csr'])
        inst, roi = seen['css'].unbind(1)
        outputs |= dict(css_inst_logits=inst, css_roi_logits=roi)
        found |= reference.figures(
            step, losses, gradients, outputs, model.matching.center
        )
    return found


def test_saip_agrees_with_the_authors_numbers():
    case = reference.read_case()
    reference.assert_agree(run_saip(case), case['expected'])


def test_saip_agrees_with_the_plain_method_at_other_sizes():
    case = reference.read_case()
    case['config'] |= dict(
        tag='case-z',
        batch=3,
        img_size=[192, 96],
        crop_size=[96, 48],
        scene_size=[160, 192],
        scale_roi=1.125,
        scale_inst=0.75,
        csr_scale=1.5,
        mask_ratio=0.6,
        csm_out_dim=512,
        num_native_locals=3,
        steps=1,
    )
    case['official_state_dict_shapes'] |= {
        'backbone.pos_embed': [1, 73, 192],
        'csr_decoder.decoder_pos_embed': [1, 73, 512],
        'csm_decoder.last_layer.weight_g': [512, 1],
        'csm_decoder.last_layer.weight_v': [512, 256],
    }
    reference.assert_agree(run_saip(case), reference.run_plain(case))
