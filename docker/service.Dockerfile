# The local SageMaker service in a container: the image of the algorithm, and what the extras `service` and `processing`
# need. Jobs and endpoints are processes of this container. `./build.sh image --service` builds it and brings the wheels
# along; after `docker build -t factorization-machines .`, `docker build -f docker/service.Dockerfile .` fetches them
# itself.
ARG IMAGE=factorization-machines:latest
FROM ${IMAGE}
# buil[d] is a pattern: that there is no such folder is no error then.
COPY docker/service.lock buil[d]/wheelhouse-service /wheels/
RUN set -eu; \
    if ls /wheels/*.whl >/dev/null 2>&1; then from="--no-index --find-links /wheels"; else from=""; fi; \
    pip="$(readlink -f /opt/fm/bin/python3) -m pip --python /opt/fm/bin/python --no-cache-dir --disable-pip-version-check"; \
    $pip install --no-deps --only-binary :all: --require-hashes $from -r /wheels/service.lock; \
    /opt/fm/bin/python -c 'import local_sagemaker.service, pandas, sklearn'; \
    mkdir -m 0777 /var/lib/local-sagemaker; \
    rm -r /wheels
ARG VERSION=unknown
LABEL org.opencontainers.image.title="local-sagemaker" \
      org.opencontainers.image.description="A local SageMaker service for the built-in Factorization Machines" \
      org.opencontainers.image.version="${VERSION}"
# serve is for the service alone, which publishes the endpoints.
ENV FM_BIND_TO_HOST=127.0.0.1
VOLUME /var/lib/local-sagemaker
EXPOSE 5860
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s CMD ["local-sagemaker", "status", "--url", "http://127.0.0.1:5860"]
# Published ports reach a container from outside, so it listens on all of its addresses.
CMD ["local-sagemaker", "up", "--host", "0.0.0.0", "--backend", "process", "--state", "/var/lib/local-sagemaker"]
