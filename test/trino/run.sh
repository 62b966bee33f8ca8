#!/bin/sh
# npm run test:trino: docs/sql/audit-join.sql in Trino beside DuckDB. Takes Java 17, and Maven the first time (90 MB).
set -eu
cd "$(dirname "$0")/../.."
cache="$HOME/.cache/airflow-xcom-exporter/trino"
mkdir -p "$cache/classes"
[ -s "$cache/classpath" ] || mvn -q -B -f test/trino/pom.xml dependency:build-classpath -Dmdep.outputFile="$cache/classpath"
javac -d "$cache/classes" -cp "$(cat "$cache/classpath")" test/trino/Trino.java
TRINO_CLASSPATH="$cache/classes:$(cat "$cache/classpath")" npx vitest run --config test/trino/vitest.config.ts "$@"
