# syntax=docker/dockerfile:1
# The server with its embedded PostgreSQL; data and keys are in the volume /data.
FROM python:3.13-slim-bookworm AS build
RUN python -m venv /opt/llmring
COPY requirements.lock /src/
RUN /opt/llmring/bin/pip install --no-cache-dir --require-hashes --requirement /src/requirements.lock
COPY . /src
RUN /opt/llmring/bin/pip install --no-cache-dir --no-deps /src

FROM python:3.13-slim-bookworm
# libnss-wrapper gives any user id a name, which PostgreSQL's initdb requires.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libnss-wrapper \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --gid 0 --no-create-home --home-dir /data llmring \
    && install --directory --owner=10001 --group=0 --mode=0770 /data
COPY --from=build /opt/llmring /opt/llmring
ENV PATH="/opt/llmring/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    LLMRING_DATA_DIR=/data
WORKDIR /data
# Any user id works whose group is 0, or that owns the volume.
USER 10001:0
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["llmring-server", "health"]
ENTRYPOINT ["llmring-server"]
