from .apply_views import ApplyViews
from .people import PeopleDataset
from .sampler import StatelessSampler
from .views import DrawViews

__all__ = ['ApplyViews', 'DrawViews', 'PeopleDataset', 'StatelessSampler']
