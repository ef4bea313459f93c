"""The GPU backend without a GPU."""

from tests.cuda_on_host.fixture import host_gpu as host_gpu
