{{- /* Shared by all subcharts: names, labels, environment, security. Called with the subchart's root context. */ -}}

{{- define "coffee.name" -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "coffee.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "coffee.labels" -}}
{{ include "coffee.selector" . }}
app.kubernetes.io/part-of: coffee-rt
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "coffee.secretName" -}}
{{- .Values.global.connections.existingSecret | default (printf "%s-connections" .Release.Name) -}}
{{- end -}}

{{- define "coffee.migrateSecretName" -}}
{{- .Values.global.connections.existingSecret | default (printf "%s-db-migrate" .Release.Name) -}}
{{- end -}}

{{- /* Empty where no pipeline has a topic. */ -}}
{{- define "coffee.wantsKafka" -}}
{{- if regexMatch "v[34]" .Values.global.pipelines }}true{{ end -}}
{{- end -}}

{{- /* What the Secrets hold where none is given. */ -}}
{{- define "coffee.connections" -}}
{{- with .Values.global.connections -}}
stringData:
  DATABASE_URL: {{ required "global.connections.databaseUrl (or existingSecret) is missing: postgresql://user:password@host/database" .databaseUrl | quote }}
  REDIS_URL: {{ required "global.connections.redisUrl (or existingSecret) is missing: redis://host:6379/0" .redisUrl | quote }}
  {{- if include "coffee.wantsKafka" $ }}
  KAFKA_BOOTSTRAP_SERVERS: {{ required "global.connections.kafkaBootstrapServers (or existingSecret) is missing: host:9092" .kafkaBootstrapServers | quote }}
  {{- with .kafkaUsername }}
  KAFKA_SASL_USERNAME: {{ . | quote }}
  {{- end }}
  {{- with .kafkaPassword }}
  KAFKA_SASL_PASSWORD: {{ . | quote }}
  {{- end }}
  {{- end }}
  {{- with .apiToken }}
  COFFEE_API_TOKEN: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{- /* The addresses from the Secret, and the settings from the values. */ -}}
{{- define "coffee.env" -}}
envFrom:
  - secretRef: {name: {{ include "coffee.secretName" . }}}
{{ include "coffee.settings" . }}
{{- end -}}

{{- define "coffee.settings" -}}
env:
  - {name: COFFEE_PIPELINES, value: {{ .Values.global.pipelines | quote }}}
{{- range $name, $value := .Values.global.settings }}
  - {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "coffee.podSecurity" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.global.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "coffee.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- /* Authorities, and certificates of our own, for servers that ask for them: the same files in every pod. */ -}}
{{- define "coffee.certificateMount" -}}
{{- if .Values.global.certificates.secret }}
- {name: certificates, mountPath: /etc/coffee/certificates, readOnly: true}
{{- end }}
{{- end -}}

{{- define "coffee.certificateVolume" -}}
{{- with .Values.global.certificates.secret }}
- name: certificates
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{- /* Nobody may connect to a part that listens nowhere. */ -}}
{{- define "coffee.denyIngress" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "coffee.name" . }}
  labels: {{- include "coffee.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "coffee.selector" . | nindent 6 }}
  policyTypes: [Ingress]
{{- end -}}


{{- define "coffee.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "coffee.name" . }}
  labels: {{- include "coffee.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "coffee.selector" . | nindent 6 }}
{{- end -}}
