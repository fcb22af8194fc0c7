"""Compare SAIP.loss with numbers that the method's authors' model computed.

    python tests/verify_reference.py tests/cases/case_a.json

Builds the model of configs/pretrain/saip_vit-tiny.py with the sizes of the case, loads
the case's weights as a converted checkpoint would be, runs its steps, and prints
reference, ours and relative difference of every quantity. Exit status 1 means that a
difference is beyond the tolerance.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpretrain.registry import MODELS
from reference_tensors import view, weight
from torch import Tensor, nn

import saip_mm  # noqa: F401  (registers the model)
from saip_mm.checkpoints.loading import load_weights
from saip_mm.checkpoints.names import from_official
from saip_mm.files import read_text
from saip_mm.models.preprocessor import scaled_size

CONFIG = Path(__file__).parents[1] / 'configs/pretrain/saip_vit-tiny.py'
PATCH = 16


def build_model(case: dict) -> nn.Module:
    """The configured model at the case's sizes, with the case's weights."""
    options, shapes = case['config'], case['official_state_dict_shapes']
    model = Config.fromfile(CONFIG).model
    model.matching.out_channels = options['csm_out_dim']
    model.reconstruction.mask_ratio = options['mask_ratio']
    model.data_preprocessor.csr_scale = options['csr_scale']
    positions = shapes['backbone.pos_embed'][1] - 1
    height, width = options['img_size']
    if positions == height // PATCH * (width // PATCH):
        model.backbone.img_size = model.reconstruction.img_size = (height, width)
    grid = tuple(side // PATCH for side in model.backbone.img_size)

    student, teacher = (
        {
            key: torch.from_numpy(weight(options['tag'], role, key, shape))
            for key, shape in shapes.items()
        }
        for role in ('student', 'teacher')
    )
    model = MODELS.build(model)
    print(load_weights(model, from_official(student, teacher, grid=grid)))
    return model


def draw_inputs(options: dict, step: int) -> dict[str, Tensor]:
    """Views of one step, as the data preprocessor would hand them to SAIP.loss."""
    batch, image, crop = options['batch'], options['img_size'], options['crop_size']

    def draw(name: str, *shape: int) -> Tensor:
        return torch.from_numpy(view(options['tag'], step, name, (batch, *shape)))

    def images(name: str, size: tuple, scale: float | None = None) -> Tensor:
        return draw(name, 3, *(scaled_size(size, scale, PATCH) if scale else size))

    scene = options['scene_size']
    tokens = [side // PATCH for side in scene]
    local_names = [f'local_{i}' for i in range(options['num_native_locals'])]
    return dict(
        globals=torch.stack([images(f'global_{i}', image) for i in (0, 1)], dim=1),
        locals=torch.stack([images(name, crop) for name in local_names], dim=1),
        roi=images('roi', crop, options['scale_roi']),
        inst=images('inst', crop, options['scale_inst']),
        csr=images('csr', image, options['csr_scale']),
        csr_noise=draw('csr_noise', *(side // PATCH for side in image)),
        scene=images('scene', scene),
        scene_masks=torch.stack(
            [draw(f'{name}_mask', *tokens) > 0 for name in ('inst', 'roi')], dim=1
        ),
    )


class Outputs:
    """Keeps what the model's parts computed, for the quantities that are no losses."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.seen: dict[str, Tensor] = {}
        parts = dict(
            csm=model.matching.projector, csr=model.reconstruction, css=model.search
        )
        for name, part in parts.items():
            part.register_forward_hook(
                lambda _, inputs, output, name=name: self.seen.update({name: output})
            )

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """Gradient norms per part, root mean squares of outputs, norm of the centre."""
        model = self.model
        parts = dict(
            backbone=model.student,
            csm_decoder=model.matching,
            csr_decoder=model.reconstruction,
            css_decoder=model.search,
        )
        figures = {
            f'grad_norm/{name}': nn.utils.get_total_norm(
                [p.grad.double() for p in part.parameters()]
            )
            for name, part in parts.items()
        }
        outputs = dict(
            csm_logits=self.seen['csm'],
            csr_pred=self.seen['csr'],
            css_inst_logits=self.seen['css'][:, 0],
            css_roi_logits=self.seen['css'][:, 1],
        )
        for name, output in outputs.items():
            figures[f'{name}_rms'] = output.double().square().mean().sqrt()
        figures['center_norm_after'] = model.matching.center.norm()
        return {name: float(value) for name, value in figures.items()}


def run_case(case: dict, device: str) -> dict[str, float]:
    """All quantities of a case, named as in its ``expected``."""
    model = build_model(case).to(device).train()
    outputs = Outputs(model)
    ours = {}
    for step in range(case['config']['steps']):
        inputs = draw_inputs(case['config'], step)
        model.zero_grad()
        losses = model.loss({name: x.to(device) for name, x in inputs.items()})
        mean = losses['teacher_mean']
        losses = {name: value for name, value in losses.items() if 'loss' in name}
        sum(losses.values()).backward()
        # The case moves the center but not the weights.
        model.matching.update_center(mean)
        figures = {name: loss.item() for name, loss in losses.items()}
        figures |= outputs.figures()
        ours |= {f'step{step}/{name}': value for name, value in figures.items()}
    return ours


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('case', type=Path, help='reference case, a JSON file')
    parser.add_argument(
        '--device', default='cpu', help='elsewhere than on a CPU limits are wider'
    )
    args = parser.parse_args()
    MMLogger.get_current_instance().setLevel(logging.ERROR)

    try:
        case = json.loads(read_text(args.case))
    except (OSError, ValueError) as error:
        print(f'error: {args.case} is not a reference case: {error}', file=sys.stderr)
        return 1
    ours = run_case(case, args.device)
    failed = 0
    print(f'{"quantity":32}{"reference":>15}{"ours":>15}{"difference":>13}')
    for name, reference in case['expected'].items():
        difference = abs(ours[name] - reference) / abs(reference)
        limit = 1e-5
        if args.device != 'cpu':
            limit = 1e-3 if 'grad_norm' in name else 1e-4
        failed += not difference <= limit
        mark = '' if difference <= limit else f'  beyond {limit:g}'
        print(f'{name:32}{reference:15.8f}{ours[name]:15.8f}{difference:13.1e}{mark}')
    print(f'{len(case["expected"]) - failed} of {len(case["expected"])} agree')
    return int(failed > 0)


if __name__ == '__main__':
    sys.exit(main())
