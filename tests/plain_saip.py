"""SAIP in one sitting: the whole method, plainly, sharing no code with the package.

Read downwards: tokens → blocks → matching → reconstruction → search → losses, and on in
plain_training.py. `p`: parameters by the authors' names; sizes and grids are (h, w).
`views`: images [B, 3, H, W] global_0, global_1, local_0 …, roi, inst, csr, scene; per
patch of scene and global_0 [B, h, w]: inst_mask, roi_mask (1 inside) and csr_noise.
"""

from types import SimpleNamespace

import torch
import torch.nn.functional as F

PATCH = 16
MODEL = SimpleNamespace(heads=3, decoder_heads=16, middle=7, mask_ratio=0.75)


def linear(p, name, x):
    return F.linear(x, p[f'{name}.weight'], p[f'{name}.bias'])


def norm(p, name, x):
    return F.layer_norm(x, x.shape[-1:], p[f'{name}.weight'], p[f'{name}.bias'], 1e-6)


def positions(embed, grid, size):  # [1, 1 + N, C], from grid to size
    plane = embed[:, 1:].mT.unflatten(2, grid)
    plane = F.interpolate(plane, size, mode='bicubic', align_corners=False)
    return torch.cat([embed[:, :1], plane.flatten(2).mT], 1)


def tokens(p, image, grid):  # [B, 3, H, W] -> [B, 1 + N, C]
    name, cls = 'backbone.patch_embed.proj', p['backbone.cls_token']
    x = F.conv2d(image, p[f'{name}.weight'], p[f'{name}.bias'], stride=PATCH)
    embed = positions(p['backbone.pos_embed'], grid, x.shape[2:])
    return torch.cat([cls.expand(len(x), -1, -1), x.flatten(2).mT], 1) + embed


def weights(q, k):  # -> attention [B, heads, queries, keys]
    return (q @ k.mT / q.shape[3] ** 0.5).softmax(3)


def block(p, name, x, heads, context=None):  # -> tokens, (q, k, v)
    y = norm(p, f'{name}.norm1', x)
    if context is None:
        proj, qkv = 'proj', linear(p, f'{name}.attn.qkv', y).chunk(3, 2)
    else:
        w, b = (p[f'{name}.attn.in_proj_{s}'].chunk(3) for s in ('weight', 'bias'))
        proj, qkv = 'out_proj', map(F.linear, (y, context, context), w, b)
    q, k, v = (z.unflatten(2, (heads, -1)).transpose(1, 2) for z in qkv)
    y = (weights(q, k) @ v).transpose(1, 2).flatten(2)
    x = x + linear(p, f'{name}.attn.{proj}', y)
    y = F.gelu(linear(p, f'{name}.mlp.fc1', norm(p, f'{name}.norm2', x)))
    return x + linear(p, f'{name}.mlp.fc2', y), (q, k, v)


def blocks(p, name, x, heads, first=0, last=None):  # -> tokens, last (q, k, v)
    depth = sum(f'{name}.{i}.norm1.bias' in p for i in range(len(p)))
    for i in range(first, last or depth):
        x, qkv = block(p, f'{name}.{i}', x, heads)
    return x, qkv


def middle(p, x, model):  # tokens -> after the middle block: raw, normed
    x, _ = blocks(p, 'backbone.blocks', x, model.heads, last=model.middle)
    return x, norm(p, 'backbone.inter_norm', x)


def look(p, image, grid, model):  # -> matching logits [B, K], middle tokens, (q, k, v)
    x, seen = middle(p, tokens(p, image, grid), model)
    x, qkv = blocks(p, 'backbone.blocks', x, model.heads, first=model.middle)
    x = F.gelu(linear(p, 'csm_decoder.mlp.0', norm(p, 'backbone.norm', x[:, 0])))
    x = F.gelu(linear(p, 'csm_decoder.mlp.2', x))
    x = F.normalize(linear(p, 'csm_decoder.mlp.4', x))
    return x @ F.normalize(p['csm_decoder.last_layer.weight_v']).T, seen, qkv


def matching(teacher, student, center):  # lists of logits -> loss
    target = [((logits - center) / 0.04).softmax(1) for logits in teacher]
    guess = [(logits / 0.1).log_softmax(1) for logits in student]
    pairs = [(t, s) for t in range(len(target)) for s in range(len(guess)) if s != t]
    return sum(-(target[t] * guess[s]).sum(1).mean() for t, s in pairs) / len(pairs)


def attention(*views):  # teacher's and student's (q, k, v) of a view -> loss
    maps = [(weights(q, k) + 1e-10, weights(v, v) + 1e-10) for q, k, v in views]
    return sum((t * (t / s).log()).sum(3).mean() for t, s in zip(*maps, strict=True))


def reconstruct(p, image, noise, anchor, grid, model):  # -> loss, pixels [B, N, P·P·3]
    size = [side // PATCH for side in image.shape[2:]]
    noise = F.interpolate(noise[:, None], size, mode='nearest').flatten(1)
    order = noise.argsort(dim=1, stable=True)
    kept = int(order.shape[1] * (1 - model.mask_ratio))
    seen, removed = order[:, :kept, None], order[:, kept:]
    x = tokens(p, image, grid)
    x = torch.cat([x[:, :1], x[:, 1:].take_along_dim(seen, 1)], 1)
    x = torch.cat([anchor, middle(p, x, model)[1]], 1)
    x = linear(p, 'csr_decoder.decoder_embed', x)
    canvas = p['csr_decoder.mask_token'].to(x).expand(*order.shape, -1)
    canvas = canvas.scatter(1, seen.expand(-1, -1, x.shape[2]), x[:, 2:])
    embed = positions(p['csr_decoder.decoder_pos_embed'], grid, size)
    x = torch.cat([x[:, :2] + embed[:, :1], canvas + embed[:, 1:]], 1)
    x, _ = blocks(p, 'csr_decoder.decoder_blocks', x, model.decoder_heads)
    x = norm(p, 'csr_decoder.decoder_norm', x[:, 2:])
    pixels = linear(p, 'csr_decoder.decoder_pred', x)
    target = F.unfold(image, PATCH, stride=PATCH).mT  # [B, N, 3·P·P], colors first
    target = target.unflatten(2, (3, -1)).mT.flatten(2)  # colors last
    var, mean = torch.var_mean(target, 2, keepdim=True)
    error = (pixels - (target - mean) / (var + 1e-6).sqrt()).square().mean(2)
    return error.take_along_dim(removed, 1).mean(), pixels


def mask_branch(p, scene):  # [B, C, h, w], what kernels are multiplied with
    for i in (0, 2, 4, 6):
        w, b = (p[f'css_decoder.mask_head.{i}.{s}'] for s in ('weight', 'bias'))
        scene = F.gelu(F.conv2d(scene, w, b, padding='same'))
    return scene


def search(p, query, scene, branch, model):  # -> logits [B, h, w]
    q = linear(p, 'css_decoder.q_decoder_embed', query)
    q, _ = blocks(p, 'css_decoder.self_atten_blocks', q, model.decoder_heads)
    kv = linear(p, 'css_decoder.kv_decoder_embed', scene)
    kv = norm(p, 'css_decoder.kv_decoder_norm', kv)
    q, _ = block(p, 'css_decoder.cross_atten_block', q[:, :1], model.decoder_heads, kv)
    q = linear(p, 'css_decoder.kernel_pred', norm(p, 'css_decoder.q_decoder_norm', q))
    return torch.einsum('bc,bchw->bhw', q[:, 0], branch)


def losses(student, teacher, center, views, model=MODEL):  # -> five losses, raw outputs
    grid = [side // PATCH for side in views['global_0'].shape[2:]]
    names = ['global_0', 'global_1', 'roi', 'inst', *(n for n in views if 'local' in n)]
    with torch.no_grad():
        taught = [look(teacher, views[name], grid, model) for name in names[:2]]
        scene = middle(teacher, tokens(teacher, views['scene'], grid), model)[1][:, 1:]
    target, _, expert = zip(*taught, strict=True)
    seen = [look(student, views[name], grid, model) for name in names]
    logits, seen, qkv = zip(*seen, strict=True)
    raw = {'teacher': target, 'csm': logits}
    loss = {'loss_csm': matching(target, logits, center)}
    loss['loss_attn'] = sum(map(attention, expert, qkv[:2])) / 2
    inputs = views['csr'], views['csr_noise'], seen[0][:, :1]
    loss['loss_csr'], raw['csr'] = reconstruct(student, *inputs, grid, model)
    branch = mask_branch(student, scene.mT.unflatten(2, views['inst_mask'].shape[1:]))
    for name, query in (('inst', seen[0]), ('roi', seen[2])):
        raw[f'css_{name}'] = logits = search(student, query, scene, branch, model)
        mask = views[f'{name}_mask'].to(logits)
        loss[f'loss_css_{name}'] = F.binary_cross_entropy_with_logits(logits, mask)
    return loss, raw
