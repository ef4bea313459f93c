"""The network itself: its layers, its convolution on each platform, and maps of where it looked."""
