{{- /* Names, labels, and the parts that agents and the topology job have in common. */ -}}

{{- define "interlock.fullname" -}}
{{- if contains "interlock" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-interlock" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "interlock.selector" -}}
app.kubernetes.io/name: interlock
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "interlock.labels" -}}
{{ include "interlock.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "interlock.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end }}
{{- end }}

{{- define "interlock.broker" -}}
{{ include "interlock.fullname" . }}-rabbitmq
{{- end }}

{{- /* The operator's service leads to whichever node is ready; a connection that breaks finds another one there. */ -}}
{{- define "interlock.brokerUrl" -}}
{{- if not .Values.broker.create }}{{ .Values.broker.url }}
{{- else if .Values.broker.tls.enabled }}amqps://{{ include "interlock.broker" . }}.{{ .Release.Namespace }}.svc:5671/interlock?cafile=/etc/interlock-ca/ca.crt
{{- else }}amqp://{{ include "interlock.broker" . }}.{{ .Release.Namespace }}.svc:5672/interlock
{{- end }}
{{- end }}

{{- /* All agents that are enabled, as a map of name to values with the defaults filled in, as JSON. */ -}}
{{- define "interlock.agents" -}}
{{- $agents := dict }}
{{- range $name, $own := .Values.agents }}
{{- $agent := mergeOverwrite (deepCopy $.Values.agentDefaults) (deepCopy ($own | default dict)) }}
{{- if eq $.Values.store.kind "sqlite" }}
{{- if or (gt (int $agent.replicas) 1) (and $.Values.keda.enabled $agent.keda.enabled) }}
{{- fail (printf "agents.%s: a SQLite store has one process; set replicas to 1 and keda.enabled to false, or store.kind to postgresql" $name) }}
{{- end }}
{{- $_ := set $agent.persistence "enabled" true }}
{{- end }}
{{- if $agent.enabled }}{{ $_ := set $agents $name $agent }}{{ end }}
{{- end }}
{{- $agents | toJson }}
{{- end }}

{{- define "interlock.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "interlock.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "interlock.env" -}}
- name: INTERLOCK_CONFIG
  value: /etc/interlock/interlock.toml
- name: INTERLOCK_SECRETS_DIR
  value: /run/secrets/interlock
- name: INTERLOCK_BROKER_URL
  value: {{ include "interlock.brokerUrl" . | quote }}
{{- end }}

{{- define "interlock.mounts" -}}
- name: settings
  mountPath: /etc/interlock
  readOnly: true
- name: secrets
  mountPath: /run/secrets/interlock
  readOnly: true
- name: scratch
  mountPath: /tmp
{{- if .Values.broker.tls.enabled }}
- name: broker-ca
  mountPath: /etc/interlock-ca
  readOnly: true
{{- end }}
{{- end }}

{{- define "interlock.volumes" -}}
- name: settings
  configMap:
    name: {{ include "interlock.fullname" . }}
- name: scratch
  emptyDir: {}
{{- if .Values.broker.tls.enabled }}
- name: broker-ca
  secret:
    secretName: {{ .Values.broker.tls.caSecretName }}
    items:
      - {key: ca.crt, path: ca.crt}
{{- end }}
{{- end }}
