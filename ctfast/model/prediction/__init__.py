"""Prediction: batches of any size, tables of results, overlays."""
