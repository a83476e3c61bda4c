{{- define "flink.component" -}}
{{ include "coffee.selector" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "flink.account" -}}
{{ .Release.Name }}-flink
{{- end -}}

{{- define "flink.restUrl" -}}
http://{{ include "coffee.name" . }}-{{ eq .Values.mode "operator" | ternary "rest" "jobmanager" }}:8081
{{- end -}}

{{- /* Of every part of Flink; by-mode differences stay with the deployments. */ -}}
{{- define "flink.config" -}}
web.submit.enable: "false"
io.tmp.dirs: /tmp
env.log.level: WARN
rest.port: "8081"
blob.server.port: "6124"
taskmanager.numberOfTaskSlots: {{ .Values.slotsPerTaskManager | quote }}
taskmanager.memory.managed.size: 128m
execution.checkpointing.dir: {{ .Values.checkpoints }}
execution.checkpointing.num-retained: "3"
high-availability.type: kubernetes
high-availability.storageDir: {{ .Values.highAvailability }}
kubernetes.namespace: {{ .Release.Namespace }}
kubernetes.cluster-id: {{ include "coffee.name" . }}
{{- with .Values.storageEndpoint }}
s3.endpoint: {{ . }}
s3.path.style.access: "true"
{{- end }}
heartbeat.interval: "1000"
heartbeat.timeout: "10000"
heartbeat.rpc-failure-threshold: "2"
env.java.opts.all: {{ include "flink.modules" . | quote }}
{{- end -}}

{{- /* What Flink's own configuration opens on Java 21. */ -}}
{{- define "flink.modules" -}}
--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED --add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED
{{- range list "java.lang" "java.net" "java.io" "java.nio" "sun.nio.ch" "java.lang.reflect" "java.text" "java.time" "java.util" "java.util.concurrent" "java.util.concurrent.atomic" "java.util.concurrent.locks" }} --add-opens=java.base/{{ . }}=ALL-UNNAMED{{ end }}
{{- end -}}

{{- define "flink.storageEnv" -}}
{{- with .Values.storageSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end -}}

{{- define "flink.podSecurity" -}}
serviceAccountName: {{ include "flink.account" . }}
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

{{- define "flink.mounts" -}}
- {name: config, mountPath: /opt/flink/conf/config.yaml, subPath: config.yaml}
- {name: tmp, mountPath: /tmp}
- {name: home, mountPath: /var/lib/coffee}
{{ include "coffee.certificateMount" . }}
{{- end -}}

{{- define "flink.volumes" -}}
- name: config
  configMap: {name: {{ include "coffee.name" . }}}
- {name: tmp, emptyDir: {}}
- {name: home, emptyDir: {sizeLimit: 64Mi}}
{{ include "coffee.certificateVolume" . }}
{{- end -}}
