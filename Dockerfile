# syntax=docker/dockerfile:1
#
# Two images that differ in who starts them; in both the application runs as user 1000:
#   docker build --tag gemneye/seedvr-runpod .               started as user 1000: compose, Kubernetes, docker run
#   docker build --target pod --tag … .                      started as root, for hosts whose volume belongs to root
#                                                            (RunPod): it takes over /workspace, then drops root
# Older drivers (before 580): --build-arg CUDA=12.6.3 --build-arg TORCH=cu126. No GPU at all: TORCH=cpu.

ARG CUDA=13.0.2

# "base" holds the CUDA runtime; cuBLAS, cuDNN and the rest come with PyTorch's wheels.
FROM nvidia/cuda:${CUDA}-base-ubuntu24.04 AS system
# Ubuntu keeps one version of a package, so that a pinned one would fail some day.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 tini \
 && rm -rf /var/lib/apt/lists/*

# The environment alone: this layer stays until a lock changes.
FROM system AS environment
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/seedvr
COPY setup_environment.sh pyproject.toml requirements.txt README.md LICENSE NOTICE ./
COPY seedvr_engine/__init__.py seedvr_engine/setup_plan.py seedvr_engine/
ARG TORCH=cu130
ARG TORCH_INDEX=https://download.pytorch.org/whl
# The address of a flash-attn wheel that fits this Python, torch and CUDA. Nothing needs one.
ARG FLASH_ATTN=
ENV PIP_NO_CACHE_DIR=1
RUN SEEDVR_TORCH=${TORCH} SEEDVR_TORCH_INDEX=${TORCH_INDEX} SEEDVR_FLASH_ATTN=${FLASH_ATTN} ./setup_environment.sh

# Outside /workspace: a pod's volume hides what an image put there.
FROM system AS application
ENV PATH=/opt/seedvr/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
WORKDIR /opt/seedvr
COPY --from=environment /opt/seedvr/.venv .venv
COPY . .
RUN install --directory --owner=1000 --group=1000 /workspace
# Checkpoints, inputs, results and jobs lie below it. One volume, not four: nested ones would hide a pod's.
VOLUME /workspace
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-m", "seedvr_engine.container", "healthy"]
# tini hands on signals and takes leave of processes that ended.
ENTRYPOINT ["tini", "--", "python", "-m", "seedvr_engine.container", "run"]
CMD ["python", "app.py"]

FROM application AS pod

FROM application AS local
USER 1000:1000
