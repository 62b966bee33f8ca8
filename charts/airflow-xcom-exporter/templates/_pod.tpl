{{- /* Of the deployment, and of the set of shards. */ -}}
{{- define "xcom.pod" -}}
metadata:
  labels:
    {{- include "xcom.labelsWith" (list . .Values.podLabels) | nindent 4 }}
  annotations:
    checksum/settings: {{ include "xcom.settings" . | sha256sum }}
    {{- with .Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "xcom.serviceAccount" . }}
  # It asks nothing of Kubernetes. A role for AWS brings a token of its own.
  automountServiceAccountToken: false
  # Variables of a Service named xcom-exporter would look like settings.
  enableServiceLinks: false
  terminationGracePeriodSeconds: 15
  securityContext:
    {{- with .Values.podSecurityContext }}{{ toYaml . | nindent 4 }}{{ else }}
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: { type: RuntimeDefault }
    {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.affinity }}
  affinity: {{- toYaml .Values.affinity | nindent 4 }}
  {{- else if gt (int .Values.replicas) 1 }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels: {{- include "xcom.selector" . | nindent 16 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: exporter
      image: {{ include "xcom.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [run]
      {{- with .Values.envFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- $shards := int .Values.shards }}
      {{- $fernet := .Values.airflow.fernetKey }}
      env:
        # Not by a flag: what `kubectl exec` starts sees the variables, and not the arguments.
        - name: XCOM_EXPORTER_CONFIG_FILE
          value: /etc/airflow-xcom-exporter/settings.yml
        {{- if gt $shards 1 }}
        # The pod's ordinal, behind the last dash of its name, is its shard.
        - name: POD_NAME
          valueFrom: { fieldRef: { fieldPath: metadata.name } }
        - name: XCOM_EXPORTER_SHARD
          value: $(POD_NAME)/{{ $shards }}
        {{- end }}
        {{- if $fernet.existingSecret }}
        - name: XCOM_EXPORTER_AIRFLOW_FERNET_KEY_FILE
          value: /run/secrets/airflow-fernet-key/{{ $fernet.key }}
        {{- end }}
        {{- if .Values.database.existingSecret }}
        - name: XCOM_EXPORTER_DATABASE_URL_FILE
          value: /run/secrets/airflow-xcom-exporter/{{ .Values.database.key }}
        {{- end }}
        {{- with .Values.env }}{{ toYaml . | nindent 8 }}{{ end }}
      ports:
        - { name: metrics, containerPort: {{ .Values.web.port }}, protocol: TCP }
      # The process alone: a database that is away is no reason to restart.
      livenessProbe:
        {{- include "xcom.probe" (list .Values.web "/-/healthy") | nindent 8 }}
        periodSeconds: 30
        timeoutSeconds: 5
      readinessProbe:
        {{- include "xcom.probe" (list .Values.web "/-/ready") | nindent 8 }}
        periodSeconds: 10
        timeoutSeconds: 5
      securityContext:
        {{- with .Values.securityContext }}{{ toYaml . | nindent 8 }}{{ else }}
        allowPrivilegeEscalation: false
        privileged: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
        {{- end }}
      resources: {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - { name: settings, mountPath: /etc/airflow-xcom-exporter/settings.yml, subPath: settings.yml, readOnly: true }
        {{- if .Values.database.existingSecret }}
        - { name: database, mountPath: /run/secrets/airflow-xcom-exporter, readOnly: true }
        {{- end }}
        {{- if include "xcom.airflowFile" . }}
        # The folder, so that a change of the file arrives.
        - { name: airflow, mountPath: /etc/airflow-xcom-exporter/airflow, readOnly: true }
        {{- end }}
        {{- if $fernet.existingSecret }}
        - { name: fernet-key, mountPath: /run/secrets/airflow-fernet-key, readOnly: true }
        {{- end }}
        {{- if .Values.web.configSecret }}
        - { name: web, mountPath: /etc/airflow-xcom-exporter/web, readOnly: true }
        {{- end }}
        {{- if include "xcom.keepsState" . }}
        - { name: state, mountPath: /var/lib/airflow-xcom-exporter }
        {{- end }}
        {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
    {{- with .Values.extraContainers }}{{ toYaml . | nindent 4 }}{{ end }}
  volumes:
    - name: settings
      configMap: { name: {{ include "xcom.fullname" . }} }
    {{- if .Values.database.existingSecret }}
    - name: database
      secret:
        secretName: {{ .Values.database.existingSecret }}
        defaultMode: 0440
        items: [{ key: {{ .Values.database.key | quote }}, path: {{ .Values.database.key | quote }} }]
    {{- end }}
    {{- if include "xcom.airflowFile" . }}
    - name: airflow
      {{- if .Values.airflow.configMap }}
      configMap:
        name: {{ .Values.airflow.configMap }}
      {{- else }}
      secret:
        secretName: {{ .Values.airflow.configSecret }}
        defaultMode: 0440
      {{- end }}
        items: [{ key: {{ .Values.airflow.key | quote }}, path: airflow.cfg }]
    {{- end }}
    {{- if $fernet.existingSecret }}
    - name: fernet-key
      secret:
        secretName: {{ $fernet.existingSecret }}
        defaultMode: 0440
        items: [{ key: {{ $fernet.key | quote }}, path: {{ $fernet.key | quote }} }]
    {{- end }}
    {{- if .Values.web.configSecret }}
    - name: web
      secret: { secretName: {{ .Values.web.configSecret }}, defaultMode: 0440 }
    {{- end }}
    {{- /* Of several each has a volume of its own, from the claim of the set. */ -}}
    {{- if and (include "xcom.keepsState" .) (not (and (gt $shards 1) .Values.state.persistence.enabled)) }}
    - name: state
      {{- if .Values.state.persistence.enabled }}
      persistentVolumeClaim: { claimName: {{ default (include "xcom.fullname" .) .Values.state.persistence.existingClaim }} }
      {{- else }}
      emptyDir: {}
      {{- end }}
    {{- end }}
    {{- with .Values.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end }}
