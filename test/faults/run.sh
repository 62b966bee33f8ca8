#!/bin/sh
# npm run test:faults [-- -t <part of a name>]: a quarter of an hour. What is not installed is named; its rows are not run.
#   root brings the faults of DNS and of the disk; apt-get install libfaketime, and
#   go install github.com/versity/versitygw/cmd/versitygw@latest, bring the one of the clock
set -eu
cd "$(dirname "$0")/../.."
DAEMON_MAIN=$(sh test/faults/build.sh)
export DAEMON_MAIN
trap 'rm -rf "$(dirname "$(dirname "$DAEMON_MAIN")")"' EXIT
npx vitest run --config test/faults/vitest.config.ts "$@"
