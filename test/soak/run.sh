#!/bin/sh
# npm run soak [-- --minutes <n>]: 60 unless given.
set -eu
cd "$(dirname "$0")/../.."
SOAK_MINUTES=60
if [ "${1:-}" = --minutes ]; then
  SOAK_MINUTES=$2
  shift 2
fi
DAEMON_MAIN=$(sh test/faults/build.sh)
export SOAK_MINUTES DAEMON_MAIN
trap 'rm -rf "$(dirname "$(dirname "$DAEMON_MAIN")")"' EXIT
npx vitest run --config test/soak/vitest.config.ts "$@"
