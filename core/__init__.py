"""CT and timeline to an individual survival curve: load -> encode -> fuse -> survive -> explain -> export.

Stages import one way along this order (tests/test_architecture.py keeps it so):
records, errors, words, progress, compute, events, intake, load, timeline, privacy, encode, fuse, survive, explain,
pretrain, cohort, bundle, own_models, card, fit, predict, quality, notices, review, export, view, case, session,
__main__.
"""

__version__ = "0.1.0"

RESEARCH_NOTICE = "Research use only. Not a medical device."
VIRTUAL_WATERMARK = "Trained on virtual patients"
