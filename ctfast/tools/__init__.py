"""Commands about the installation itself: doctor, warm, benchmark, demo and synthetic data."""
