{{- /* A member of one of v4's two groups: root, and the module that it runs. */ -}}
{{- define "coffee.memberDeployment" -}}
{{- with .root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "coffee.name" . }}
  labels: {{- include "coffee.labels" . | nindent 4 }}
spec:
  {{- if not .Values.keda.enabled }}
  replicas: {{ .Values.replicas }}
  {{- end }}
  selector:
    matchLabels: {{- include "coffee.selector" . | nindent 6 }}
  template:
    metadata:
      labels: {{- include "coffee.labels" . | nindent 8 }}
    spec:
      {{- include "coffee.podSecurity" . | nindent 6 }}
      terminationGracePeriodSeconds: 30
      containers:
        - name: {{ .Chart.Name }}
          image: {{ .Values.global.images.app }}
          imagePullPolicy: {{ .Values.global.images.pullPolicy }}
          command: [python, -m, {{ $.module }}]
          {{- include "coffee.env" . | nindent 10 }}
            - {name: COFFEE_READY_FILE, value: /run/coffee/ready}
            # A pod's name is its member's: six seconds after it is gone the others have its partitions.
            - name: COFFEE_WORKER_NAME
              valueFrom: {fieldRef: {fieldPath: metadata.name}}
          {{- include "coffee.containerSecurity" . | nindent 10 }}
          # No liveness probe: without PostgreSQL it is not ready and retries, and a restart would not help it.
          readinessProbe:
            exec: {command: [test, -e, /run/coffee/ready]}
            periodSeconds: 5
          resources: {{- toYaml .Values.resources | nindent 12 }}
          volumeMounts:
            - {name: run, mountPath: /run/coffee}
            {{- include "coffee.certificateMount" . | nindent 12 }}
      volumes:
        - {name: run, emptyDir: {medium: Memory, sizeLimit: 16Mi}}
        {{- include "coffee.certificateVolume" . | nindent 8 }}
{{- end }}
{{- end -}}

{{- /* As many members as the records that wait for the group ask for, one for each partition at most: root, group. */ -}}
{{- define "coffee.lagScaler" -}}
{{- $group := .group }}
{{- with .root }}
{{- if .Values.keda.enabled }}
{{- $name := include "coffee.name" . }}
{{- $settings := .Values.global.settings }}
{{- $protocol := $settings.KAFKA_SECURITY_PROTOCOL | default "PLAINTEXT" }}
{{- $sasl := hasPrefix "SASL_" $protocol }}
{{- $tls := hasSuffix "SSL" $protocol }}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ $name }}
  labels: {{- include "coffee.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {name: {{ $name }}}
  minReplicaCount: {{ .Values.keda.minReplicas }}
  maxReplicaCount: {{ .Values.keda.maxReplicas }}
  pollingInterval: 5
  triggers:
    # Every second a member tells its group up to where it has done all records. Who has told nothing yet begins with the first.
    - type: kafka
      metadata:
        bootstrapServersFromEnv: KAFKA_BOOTSTRAP_SERVERS
        consumerGroup: {{ $group }}
        topic: orders-v4
        lagThreshold: {{ .Values.keda.lagRecords | quote }}
        offsetResetPolicy: earliest
        # Of the protocol: the oldest of which Kafka 4 still answers everything.
        version: "2.1.0"
        {{- if $sasl }}
        sasl: {{ get (dict "PLAIN" "plaintext" "SCRAM-SHA-256" "scram_sha256" "SCRAM-SHA-512" "scram_sha512") ($settings.KAFKA_SASL_MECHANISM | default "SCRAM-SHA-512") }}
        {{- end }}
        {{- if $tls }}
        tls: enable
        {{- end }}
      {{- if or $sasl (and $tls .Values.global.certificates.secret) }}
      authenticationRef: {name: {{ $name }}}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata:
  name: {{ $name }}
  labels: {{- include "coffee.labels" . | nindent 4 }}
spec:
  secretTargetRef:
    {{- if $sasl }}
    - {parameter: username, name: {{ include "coffee.secretName" . }}, key: KAFKA_SASL_USERNAME}
    - {parameter: password, name: {{ include "coffee.secretName" . }}, key: KAFKA_SASL_PASSWORD}
    {{- end }}
    {{- if $tls }}
    {{- with .Values.global.certificates.secret }}
    {{- with $settings.KAFKA_SSL_CA }}
    - {parameter: ca, name: {{ $.root.Values.global.certificates.secret }}, key: {{ base . }}}
    {{- end }}
    {{- with $settings.KAFKA_SSL_KEYSTORE }}
    # Each takes its own out of the one file.
    - {parameter: cert, name: {{ $.root.Values.global.certificates.secret }}, key: {{ base . }}}
    - {parameter: key, name: {{ $.root.Values.global.certificates.secret }}, key: {{ base . }}}
    {{- end }}
    {{- end }}
    {{- end }}
      {{- end }}
{{- end }}
{{- end }}
{{- end -}}
