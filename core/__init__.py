"""CT and timeline to an individual survival curve: load -> encode -> fuse -> survive -> explain -> export.

Stages import one way along this order (tests/test_architecture.py keeps it so):
records, errors, wording, progress, sealed_folder, cards, compute, events, intake, load, timeline, privacy, encode,
fuse, survive, explain, foresee, bundle_format, bundle, bundle_folder, quality, notices, review, cohort, virtual,
pretrain, train, benchmark, export, view, case, session, arguments, learning_commands, __main__.
"""

__version__ = "0.1.0"

RESEARCH_NOTICE = "Research use only. Not a medical device."
VIRTUAL_WATERMARK = "Trained on virtual patients"
