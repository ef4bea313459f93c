"""The machine's own tests."""

from tests.cuda_on_host.fixture import host_gpu as host_gpu
