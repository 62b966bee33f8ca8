#!/bin/sh
# npm run fuzz [-- --minutes <n>] [--seed <n>]: a minute, and a seed that is printed, unless given.
set -eu
cd "$(dirname "$0")/../.."
FUZZ_MINUTES=1
FUZZ_SEED=$(date +%s)
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) FUZZ_MINUTES=$2; shift 2 ;;
    --seed) FUZZ_SEED=$2; shift 2 ;;
    *) break ;;
  esac
done
DAEMON_MAIN=$(sh test/faults/build.sh)
export FUZZ_MINUTES FUZZ_SEED DAEMON_MAIN
trap 'rm -rf "$(dirname "$(dirname "$DAEMON_MAIN")")"' EXIT
echo "seed $FUZZ_SEED, $FUZZ_MINUTES min"
npx vitest run --config test/fuzz/vitest.config.ts "$@"
