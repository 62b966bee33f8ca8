#!/bin/sh
# Builds the daemon into a folder of its own, as it is shipped, and prints the path of its main file.
set -eu
cd "$(dirname "$0")/../.."
app=$(mktemp -d "${TMPDIR:-/tmp}/xcom-exporter-built.XXXXXX")
npx rolldown -c --dir "$app/dist" >&2
cp package.json "$app/"
echo "$app/dist/main.js"
