#!/usr/bin/env bash
# A kernel made an operator by torch.library.custom_op (torch 2.13.0) has tangents of 0 in forward mode, without a word.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 numpy==2.3.5 scipy==1.17.1
venv/bin/python -W ignore - <<'EOF'
import sys

import torch
from scipy import ndimage
from torch.autograd import forward_ad


def smooth(x):
    return torch.from_numpy(ndimage.gaussian_filter(x.detach().numpy(), 1.5))


@torch.library.custom_op("example::smooth", mutates_args=())
def operator(x: torch.Tensor) -> torch.Tensor:
    return smooth(x)


operator.register_autograd(lambda ctx, cotangent: smooth(cotangent))  # symmetric but for the border


class Function(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return smooth(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, cotangent):
        return smooth(cotangent)


print("torch", torch.__version__)
image = torch.full((32, 32), 40.0, dtype=torch.float64)
one_more = torch.ones_like(image)  # HU more everywhere: the smoothed image has one more, too
found = torch.func.jvp(operator, (image,), (one_more,))[1]
print(f"torch.func.jvp of the operator\n  expected {smooth(one_more).mean():.1f}, or an error\n  seen     {found.mean():.1f}")
with forward_ad.dual_level():
    dual = forward_ad.unpack_dual(operator(forward_ad.make_dual(image, one_more))).tangent
print(f"forward_ad of the operator\n  expected {smooth(one_more).mean():.1f}, or an error\n  seen     {dual}")
try:
    torch.func.jvp(Function.apply, (image,), (one_more,))
    refused = False
except RuntimeError as error:
    refused = True
    print(f"the same kernel as torch.autograd.Function\n  expected an error\n  seen     {str(error)[:60]}")
with_gradient = image.clone().requires_grad_()
operator(with_gradient)[16, 16].backward()
print(f"backward of the operator\n  expected 1.0\n  seen     {with_gradient.grad.sum():.1f}")
sys.exit(not (found.abs().max() == 0 and dual is None and refused and abs(with_gradient.grad.sum() - 1) < 1e-6))
EOF
