from .apply_views import ApplyViews
from .draw_views import DrawViews
from .people import PeopleDataset
from .sampler import StatelessSampler
from .synthetic import SyntheticPeople, SyntheticScenes

__all__ = [
    'ApplyViews',
    'DrawViews',
    'PeopleDataset',
    'StatelessSampler',
    'SyntheticPeople',
    'SyntheticScenes',
]
