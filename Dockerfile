# Tags say which release is meant; a release of this image is to pin their digests (image:tag@sha256:…).
FROM node:24.11.1-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json rolldown.config.js ./
COPY src ./src
COPY docs/runbook.md ./docs/runbook.md
RUN npm run build

# docker build --target demo: everything on one machine, with the development dependencies.
FROM build AS demo
USER 1000:1000
EXPOSE 10048
ENTRYPOINT ["node", "dist/main.js", "demo"]

# docker build --target audit: the command `audit`, which writes into the folder that --out names.
FROM gcr.io/distroless/nodejs24-debian12:nonroot AS audit
WORKDIR /app
COPY package.json LICENSE ./
# DuckDB's 72 MB are for the command `audit` alone; it finds its library with detect-libc.
COPY --from=build /app/node_modules/@duckdb ./node_modules/@duckdb
COPY --from=build /app/node_modules/detect-libc ./node_modules/detect-libc
COPY --from=build /app/dist ./dist
ENV NODE_ENV=production
USER 65532:65532
ENTRYPOINT ["/nodejs/bin/node", "/app/dist/main.js", "audit"]

# Without a shell or a package manager; it writes nothing but the file of `state.file`, if there is one.
FROM gcr.io/distroless/nodejs24-debian12:nonroot AS exporter
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="airflow-xcom-exporter" \
      org.opencontainers.image.description="Prometheus exporter that tells an Airflow team where its XComs really go: the metadata database or S3" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=build /app/dist ./dist
COPY --from=build /app/docs ./docs
ENV NODE_ENV=production
USER 65532:65532
EXPOSE 10048
# Plain HTTP on the default port: give another one with --health-cmd where web.* is set, or leave it to Kubernetes.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
  CMD ["/nodejs/bin/node", "-e", "fetch('http://127.0.0.1:10048/-/healthy').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/nodejs/bin/node", "/app/dist/main.js"]
