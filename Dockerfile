# The image: Python, what docker/requirements.lock and requirements.in pin, this project. `./build.sh image` builds
# it and brings the wheels along; `docker build .` works as well and fetches them itself. Needs no BuildKit.
ARG BASE_IMAGE=python:3.11-slim-bookworm

# The packages, whole. Only the lists and the wheels are copied, so a change of source leaves this stage cached.
FROM ${BASE_IMAGE} AS packages
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_COMPILE=1
# buil[d] is a pattern: that there is no such folder is no error then.
COPY docker/requirements.in docker/requirements.lock buil[d]/wheelhouse /wheels/
RUN set -eu; \
    python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "BASE_IMAGE must have Python 3.11")'; \
    python3 -m venv --without-pip /opt/fm; \
    if ls /wheels/*.whl >/dev/null 2>&1; then lock="--no-index --find-links /wheels"; torch="$lock"; \
    else lock=""; torch="--extra-index-url $TORCH_INDEX"; fi; \
    pip="python3 -m pip --python /opt/fm/bin/python"; \
    $pip install --no-deps --only-binary :all: --require-hashes $lock -r /wheels/requirements.lock; \
    $pip install --no-deps --only-binary :all: $torch "$(grep '^torch==' /wheels/requirements.in)+cpu"; \
    $pip check

# The project's own files, alone, under /staging.
FROM packages AS project
COPY pyproject.toml LICENSE README.md /project/
COPY src /project/src
RUN python3 -m pip --python /opt/fm/bin/python install --no-deps --no-index --no-build-isolation \
        --root /staging /project && \
    /opt/fm/bin/python -m compileall -q -s /staging --invalidation-mode unchecked-hash /staging/opt/fm/lib

# The packages without what no job here can use. Then compiled, for the root may be read-only; these byte-code
# files stay valid whatever a registry or a copy does to the times of files.
FROM packages AS runtime
COPY docker/strip.py /tmp/
RUN set -eu; \
    cd /opt/fm/lib/python3.11/site-packages; \
    # For compiling C++ against torch; torch's tests; programs, of which `import torch` looks for one.
    rm -r torch/include torch/share torch/test; \
    find torch/bin -type f ! -name torch_shm_manager -delete; \
    # The packages' own tests.
    find numba scipy numpy sympy networkx -type d -name tests -prune -exec rm -r {} +; \
    # Static libraries: nothing is linked here.
    find . -name '*.a' -delete; \
    # Builds wheels; the image builds none.
    rm -r setuptools* _distutils_hack distutils-precedence.pth; \
    find . -name '*.so*' -exec python3 /tmp/strip.py {} +; \
    /opt/fm/bin/python -m compileall -q -j 0 -x py312 --invalidation-mode unchecked-hash .; \
    /opt/fm/bin/python -c 'import numba, scipy.sparse, torch; torch.ones(2, requires_grad=True).sum().backward()'

FROM ${BASE_IMAGE}
ARG VERSION=unknown
LABEL org.opencontainers.image.title="factorization-machines" \
      org.opencontainers.image.description="A local stand-in for Amazon SageMaker's built-in Factorization Machines" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      com.amazonaws.sagemaker.capabilities.accept-bind-to-port="true"
# HOME: a user id with no entry in passwd gets /, where nobody but root may write.
# FM_BIND_TO_HOST: a published port reaches the container from outside; elsewhere serve keeps to 127.0.0.1.
ENV PATH=/opt/program:/opt/fm/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp FM_BIND_TO_HOST=0.0.0.0
COPY --from=runtime /opt/fm /opt/fm
COPY --from=project /staging/opt/fm /opt/fm
# train and serve, and what serve gives to gunicorn.
COPY container /opt/program
# The kernels' compiled code, found again by any user id; on another CPU they are compiled at start.
RUN ["python", "-c", "from factorization_machines.kernels.jit import compile_all; compile_all()"]
EXPOSE 8080
CMD ["train"]
