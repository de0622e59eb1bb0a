#!/bin/sh
# tests/cuda.sh VENV: what is needed to compile and link GPU code (nvcc, headers, the static runtime; 130 MB to fetch), from
# PyPI, into a virtual environment. Not cuBLAS, which a machine with a GPU needs to run it. Silent when it is there.
set -eu

venv=$1
# One release for all: a later runtime would need a later driver for nothing.
version='13.0.*'

ls "$venv"/lib/python3*/site-packages/nvidia/cu*/bin/nvcc >/dev/null 2>&1 && exit 0
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    "$(dirname "$0")/deps.sh" cuda
fi
echo "make deps: fetching nvcc into $venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check \
    "nvidia-cuda-nvcc==$version" "nvidia-cuda-crt==$version" "nvidia-nvvm==$version" \
    "nvidia-cuda-runtime==$version" "nvidia-cuda-cccl==$version"
