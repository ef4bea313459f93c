"""What several of these tests run."""

from __future__ import annotations

from ctfast import Pipeline, Step

SMALL_PIPELINE = Pipeline([Step("median_filter", size=3), Step("summary")])
