"""Logging, checkpoints and processes."""

default_hooks = dict(
    # The momenta and the model's center_momentum are for a global batch of 2048 and
    # follow the actual one. `max_initial_share=0.001` lowers the teacher's if, with few
    # images, more than that of its initial weights would be left in it at the end.
    saip=dict(type='SAIPHook', momentum=0.996, end_momentum=1.0, base_batch_size=2048),
    logger=dict(type='LoggerHook', interval=50),
    quarantine=dict(type='QuarantineHook', max_share=0.01, max_few=10),
    finite=dict(type='FiniteGuard', max_in_row=10),
    collapse=dict(type='CollapseWatch'),
    # After every epoch, and every half hour within longer epochs.
    checkpoint=dict(
        type='SafeCheckpointHook', interval=1, minutes=30, max_keep_ckpts=3
    ),
)
visualizer = dict(
    type='SafeVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
# Every random choice is a function of this seed and (epoch, image) or step.
randomness = dict(seed=0)
log_level = 'INFO'
# Logged as means of the last ten steps, instead of at the last step alone.
log_processor = dict(
    mean_pattern='.*(loss|time|grad_norm|teacher_entropy|matching_kl|feature_std).*'
)
load_from = None
resume = False
