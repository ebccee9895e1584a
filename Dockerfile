# One image for every role: `gurney up`, or `gurney migrate`, `gurney daemon`, `gurney worker` apart.

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/gurney
COPY pyproject.toml README.md LICENSE ./
COPY gurney gurney
COPY daemon daemon
COPY workers workers
COPY migrations migrations
RUN --mount=type=cache,target=/var/cache/pip /opt/gurney/bin/pip install --cache-dir /var/cache/pip '.[daemon]'

FROM python:3.12-slim
# tini reaps what a killed worker leaves behind and passes SIGTERM on, so that a stop drains.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
# A fixed number, so that folders on the host can be given to it.
RUN groupadd --gid 10001 gurney \
    && useradd --uid 10001 --gid gurney --create-home --home-dir /var/lib/gurney --shell /usr/sbin/nologin gurney
COPY --from=build /opt/gurney /opt/gurney
ENV PATH=/opt/gurney/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER gurney
WORKDIR /var/lib/gurney
VOLUME /var/lib/gurney
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["gurney", "status", "--json"]
ENTRYPOINT ["tini", "--", "gurney"]
CMD ["up"]
