"""Labelled images: searched for, labelled, decoded, preprocessed, grouped by patient and split."""
