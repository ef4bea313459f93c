"""What the GPU launchers share: CuPy, sources, launches, geometry, streams, interoperation."""
