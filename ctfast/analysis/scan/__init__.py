"""From files to statistics: one record a slice, distributions, tissues, regions and metadata."""
