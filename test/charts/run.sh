#!/bin/sh
# npm run test:chart: helm lint, helm template and kubeconform over every values file of charts/…/ci, against the
# schemas of several Kubernetes releases. What is not installed is named, and is no success.
#   go install helm.sh/helm/v3/cmd/helm@latest
#   go install github.com/yannh/kubeconform/cmd/kubeconform@latest
#   pip and go bring the schemas (test/charts/schemas.sh)
set -eu
cd "$(dirname "$0")/../.."
chart=charts/airflow-xcom-exporter
PATH=$PATH:$(go env GOPATH 2>/dev/null || echo "$HOME/go")/bin
work=$(mktemp -d "${TMPDIR:-/tmp}/xcom-exporter-chart.XXXXXX")
trap 'rm -rf "$work"' EXIT
missing=''
passed=0
failed=0

check() {
  what=$1
  shift
  if "$@" >"$work/out" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $what"
    # helm says at each call that the chart has a link.
    grep -v '^walk.go' "$work/out" | sed 's/^/    /'
  fi
}
refuses() {
  what=$1
  shift
  if helm template xcom $chart --kube-version 1.31.0 "$@" >"$work/out" 2>&1; then
    failed=$((failed + 1))
    echo "FAILED: accepted although wrong: $what"
  else
    passed=$((passed + 1))
  fi
}

if command -v helm >/dev/null; then
  for values in "$chart"/ci/*.yaml; do
    name=$(basename "$values" .yaml)
    check "helm lint $name" helm lint --strict --kube-version 1.31.0 $chart --values "$values"
    helm template xcom $chart --kube-version 1.31.0 --namespace airflow --values "$values" >"$work/$name.yaml" 2>"$work/err" ||
      { failed=$((failed + 1)); echo "FAILED: helm template $name"; cat "$work/err"; }
  done
  for group in $(sed -n 's/^ *- name: \(airflow-xcom.*\)/\1/p' grafana/prometheusrule.yml); do
    check "rules of $group" grep -q "name: $group\$" "$work/full-values.yaml"
  done
  render() {
    helm template xcom $chart --kube-version 1.31.0 "$@" 2>/dev/null
  }
  render --set prometheusRule.enabled=true,web.tls=true,web.configSecret=web,prometheusRule.runbookUrl=https://git.example/xcom/ >"$work/links"
  check 'each runbook of an alert has its address' sh -c "grep -q runbook_url: $work/links && ! grep runbook_url: $work/links | grep -qv ' https://git.example/xcom/[a-z]'"
  check 'the page of an exporter with TLS is https' sh -c "grep -q 'https://{{' $work/links && ! grep -q 'http://{{' $work/links"
  render --set prometheusRule.enabled=true >"$work/plain"
  check 'the page of one without is http' sh -c "grep -q 'http://{{' $work/plain && ! grep -q 'https://{{' $work/plain"
  refuses 'an address of the runbook without https' --set prometheusRule.runbookUrl=git.example
  render --set networkPolicy.enabled=true \
    --set-json 'networkPolicy.egress=[{"to":[{"ipBlock":{"cidr":"169.254.169.254/32"}}]}]' >"$work/network"
  check 'a rule of egress that is given' grep -q 'cidr: 169.254.169.254/32' "$work/network"
  for port in 53 5353; do
    check "DNS by port $port" sh -c "grep -q 'port: $port, protocol: UDP' $work/network && grep -q 'port: $port, protocol: TCP' $work/network"
  done
  refuses 'two without the lock' --set replicas=2
  refuses 'two on one volume' --set replicas=2,ha=lock,state.persistence.enabled=true
  refuses 'an unknown value' --set replica=1
  refuses 'a setting that the chart sets' --set settings.state\\.file=/tmp/x
  refuses 'shards that stand by' --set shards=2,replicas=2,ha=lock
  refuses 'shards on one claim' --set shards=2,state.persistence.enabled=true,state.persistence.existingClaim=one
  refuses 'the file in two objects' --set airflow.configMap=a,airflow.configSecret=b
  check 'shards are a set, and one is none' sh -c "
    grep -q 'kind: StatefulSet' $work/shards-values.yaml && ! grep -qE 'kind: (Deployment|PersistentVolumeClaim)$' $work/shards-values.yaml &&
    ! grep -q 'kind: StatefulSet' $work/small-values.yaml"
  check 'the claim of a shard goes with it, and with the set' sh -c "
    grep -q 'whenScaled: Delete, whenDeleted: Delete' $work/shards-values.yaml"
  check 'a pair has no state file, and one exporter has' sh -c "
    ! grep -qE 'state.file: |name: state(,|$)' $work/pair-values.yaml && grep -q 'state.file: ' $work/small-values.yaml &&
    grep -q 'name: state$' $work/small-values.yaml"
  for object in 'name: airflow-config$' 'secretName: airflow-metadata' 'secretName: airflow-fernet-key' 'airflow.connections: xcom_exporter_connection'; do
    check "the official chart's $object" grep -q "$object" "$work/official-config-values.yaml"
  done
  refuses 'probes by HTTPS of an exporter without TLS' --set web.tls=true
  check 'TLS with a file of a volume of one'"'"'s own' sh -c "
    helm template xcom $chart --kube-version 1.31.0 --set web.tls=true,env[0].name=XCOM_EXPORTER_WEB_CONFIG_FILE,env[0].value=/run/web.yml >/dev/null"
  refuses 'certificates of clients without TLS' --set web.clientCertificates=true,web.configSecret=web
  check 'one with a claim ends before the next begins' sh -c "
    helm template xcom $chart --kube-version 1.31.0 --set ha=lock,state.persistence.enabled=true 2>/dev/null | grep -q 'type: Recreate'"
  for release in xcom a.dotted.name data-platform-airflow-prod-eu-w1 data-platform-airflow-production-eu-central-1-team; do
    helm template "$release" $chart --kube-version 1.31.0 --set shards=2,dashboards.enabled=true >"$work/long" 2>/dev/null
    awk '$1 == "kind:" { kind = $2 } kind && /^  name: / { print kind, $2; kind = "" }' "$work/long" >"$work/names"
    check "a release of ${#release} characters has names of its own" sh -c "[ -s $work/names ] && [ -z \"\$(sort $work/names | uniq -d)\" ]"
    check "a release of ${#release} characters has names that Kubernetes takes" awk '
      length($2) > ($1 == "StatefulSet" ? 52 : 63) || ($1 == "Service" && $2 ~ /[.]/) { print; bad = 1 } END { exit bad }' "$work/names"
  done
  check 'an exec has the settings of the exporter' sh -c "
    grep -A1 'name: XCOM_EXPORTER_CONFIG_FILE' $work/small-values.yaml | grep -q 'value: /etc/airflow-xcom-exporter/settings.yml' &&
    grep -q 'args: \[run\]$' $work/small-values.yaml"
  refuses 'another file of settings' --set 'env[0].name=XCOM_EXPORTER_CONFIG_FILE,env[0].value=/etc/mine.yml'
  check 'OpenShift chooses the user' sh -c "! grep -qE 'runAsUser|runAsGroup|fsGroup' $work/openshift-values.yaml"
  refuses 'a digest that is none' --set image.digest=sha256:1
  check 'the command of docs/install.md' sh -c "$(sed -n '/^helm install/{s/^helm install/helm template --kube-version 1.31.0/;:more;/\\$/{N;bmore};p}' docs/install.md)"
  check 'helm package' helm package $chart --destination "$work"
  check 'the package has the dashboards and rules' sh -c "
    tar tzf $work/*.tgz >$work/list && grep -q grafana/prometheusrule.yml $work/list &&
    grep -q 'grafana/[a-z0-9-]*.json' $work/list && ! grep -qE 'grafana/(source|provisioning)|/ci/' $work/list"
else
  missing="$missing helm"
fi

if command -v kubeconform >/dev/null && [ -z "$missing" ]; then
  schemas=${KUBERNETES_SCHEMAS:-$HOME/.cache/airflow-xcom-exporter/schemas}
  [ -d "$schemas" ] || sh test/charts/schemas.sh "$schemas" || missing="$missing schemas"
  for release in 1.25 1.31 1.37; do
    [ -d "$schemas/v$release.0-local-strict" ] || continue
    check "kubeconform $release" kubeconform -strict -summary \
      -schema-location "$schemas/v$release.0-local-strict/{{.ResourceKind}}{{.KindSuffix}}.json" \
      -schema-location "$schemas/crd/{{.ResourceKind}}{{.KindSuffix}}.json" "$work"/*.yaml
    grep Summary "$work/out" || true
  done
else
  missing="$missing kubeconform"
fi

echo "chart: $passed passed, $failed failed"
[ -z "$missing" ] || echo "not run, for these are not installed:$missing"
[ "$failed" -eq 0 ] && [ -z "$missing" ]
