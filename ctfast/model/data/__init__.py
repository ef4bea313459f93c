"""Labelled images: found, labelled, decoded, prepared, grouped by patient and split."""
