#!/bin/sh
# npm run test:faults [-- -t <part of a name>]
set -eu
cd "$(dirname "$0")/../.."
DAEMON_MAIN=$(sh test/faults/build.sh)
export DAEMON_MAIN
trap 'rm -rf "$(dirname "$(dirname "$DAEMON_MAIN")")"' EXIT
npx vitest run --config test/faults/vitest.config.ts "$@"
