"""Evaluation: metrics with intervals, baselines, cross-validation, plots."""
