{{- define "coffee.migrateContainer" -}}
image: {{ .root.Values.global.images.app }}
imagePullPolicy: {{ .root.Values.global.images.pullPolicy }}
command: [python, -m, {{ .module }}]
envFrom:
  - secretRef: {name: {{ include "coffee.migrateSecretName" .root }}}
{{ include "coffee.settings" .root }}
{{ include "coffee.containerSecurity" .root }}
resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 256Mi}}
volumeMounts:
  - {name: run, mountPath: /run/coffee}
  {{- include "coffee.certificateMount" .root | nindent 2 }}
{{- end -}}
