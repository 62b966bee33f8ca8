{{- define "xcom.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* A release may have dots in its name; a Service may not. */ -}}
{{- define "xcom.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | replace "." "-" | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "xcom.name" .) .Release.Name -}}
{{ .Release.Name | replace "." "-" | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "xcom.name" .) | replace "." "-" | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "xcom.selector" -}}
app.kubernetes.io/name: {{ include "xcom.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "xcom.labels" -}}
{{ include "xcom.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Labels of the user's beside the chart's. The selector has to find them, whatever else is asked for. */ -}}
{{- define "xcom.labelsWith" -}}
{{- $labels := include "xcom.labels" (index . 0) | fromYaml -}}
{{- $selector := include "xcom.selector" (index . 0) | fromYaml -}}
{{- toYaml (mergeOverwrite $labels (deepCopy (default dict (index . 1))) $selector) -}}
{{- end }}

{{- define "xcom.serviceAccount" -}}
{{ if .Values.serviceAccount.create }}{{ default (include "xcom.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "xcom.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{- define "xcom.settings" -}}
{{- $settings := dict "web.listen-address" (printf ":%d" (int .Values.web.port)) "ha" .Values.ha -}}
{{- if include "xcom.keepsState" . }}{{ $_ := set $settings "state.file" "/var/lib/airflow-xcom-exporter/state" }}{{ end -}}
{{- if .Values.web.configSecret }}{{ $_ := set $settings "web.config.file" "/etc/airflow-xcom-exporter/web/web-config.yml" }}{{ end -}}
{{- if include "xcom.airflowFile" . }}{{ $_ := set $settings "airflow.config" "/etc/airflow-xcom-exporter/airflow/airflow.cfg" }}{{ end -}}
{{- with .Values.airflow.connectionsView }}{{ $_ := set $settings "airflow.connections" . }}{{ end -}}
{{- toYaml (merge $settings .Values.settings) -}}
{{- end }}

{{- /* Two pods have no volume in common. With a file each, they would count twice what was written while the other led. */ -}}
{{- define "xcom.keepsState" -}}
{{ if and .Values.state.enabled (eq (int .Values.replicas) 1) }}true{{ end }}
{{- end }}

{{- /* A kubelet has no certificate to show: it can only see whether somebody listens. */ -}}
{{- define "xcom.probe" -}}
{{- $web := index . 0 -}}
{{- if $web.clientCertificates -}}
tcpSocket: { port: metrics }
{{- else -}}
httpGet: { path: {{ index . 1 }}, port: metrics, scheme: {{ ternary "HTTPS" "HTTP" $web.tls }} }
{{- end }}
{{- end }}

{{- /* True where an object with Airflow's own file is named. */ -}}
{{- define "xcom.airflowFile" -}}
{{ .Values.airflow.configMap }}{{ .Values.airflow.configSecret }}
{{- end }}

{{- /*
The full name with this ending, in at most so many characters: 63 for a name that is a label of DNS, and 52 for a set,
because Kubernetes puts eleven behind its name in a label of the pods. Where it does not fit, a hash keeps names apart.
*/ -}}
{{- define "xcom.short" -}}
{{- $full := include "xcom.fullname" (index . 0) -}}
{{- $end := index . 1 -}}
{{- $room := int (sub (index . 2) (len $end)) -}}
{{- if gt (len $full) $room -}}
{{- $full = printf "%s-%s" ($full | trunc (int (sub $room 9)) | trimSuffix "-") ($full | sha256sum | trunc 8) -}}
{{- end -}}
{{ $full }}{{ $end }}
{{- end }}
