"""From a cohort folder to a bundle, and from a bundle to predictions."""
