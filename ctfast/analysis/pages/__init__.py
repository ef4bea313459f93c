"""The HTML pages of the report: of a set and of one slice."""
