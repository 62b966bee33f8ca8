#!/bin/sh
# npm run sbom [-- <folder>]: the bill of materials of what is shipped, as CycloneDX and SPDX.
# Of a copy without development dependencies: `npm sbom --omit=dev` leaves out what these need as well, as pg and the AWS SDK.
set -eu
cd "$(dirname "$0")/../.."
to=$(cd "${1:-.}" && pwd)
licences=$PWD/docs/sbom-licences.md
work=$(mktemp -d "${TMPDIR:-/tmp}/xcom-exporter-sbom.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp package.json package-lock.json .npmrc "$work/"
cd "$work"
npm pkg delete devDependencies
npm install --package-lock-only --ignore-scripts --silent
npm sbom --package-lock-only --sbom-format=cyclonedx >"$to/sbom.cdx.json"
npm sbom --package-lock-only --sbom-format=spdx >"$to/sbom.spdx.json"

# Nothing is missing, and nothing is of another version.
sed -n 's/^| \([a-z@][^ ]*\) | \([0-9][^ ]*\) | .*/\1@\2/p' "$licences" | LC_ALL=C sort >listed
for file in sbom.cdx.json sbom.spdx.json; do
  node -p '
    const { components, packages } = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
    const purls = components?.map(({ purl }) => purl) ??
      packages.flatMap(({ externalRefs = [] }) => externalRefs.map(({ referenceLocator }) => referenceLocator));
    const names = purls.map((purl) => decodeURIComponent(purl.replace("pkg:npm/", "")));
    [...new Set(names)].filter((name) => !name.startsWith("airflow-xcom-exporter@")).join("\n")' "$to/$file" |
    LC_ALL=C sort >found
  diff listed found >differences || { echo "$file is not what docs/sbom-licences.md lists:"; cat differences; exit 1; }
done
echo "$(wc -l <listed) packages in $to/sbom.cdx.json and sbom.spdx.json"
