{{- define "lockgate.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains "lockgate" .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-lockgate" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What selects the gateways of this release. It must never change: selectors of a Deployment are immutable. */}}
{{- define "lockgate.selector" -}}
app.kubernetes.io/name: lockgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lockgate.common" -}}
app.kubernetes.io/part-of: lockgate
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "lockgate.labels" -}}
{{ include "lockgate.selector" . }}
{{ include "lockgate.common" . }}
{{- end }}

{{- define "lockgate.valkey.selector" -}}
app.kubernetes.io/name: lockgate-valkey
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lockgate.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* The configuration. What it needs for the other objects to fit is looked for, so that a release fails and not the gateways. */}}
{{- define "lockgate.config" -}}
{{- $config := .Values.config }}
{{- if not $config }}
{{- $config = tpl (.Files.Get "files/lockgate.toml") . }}
{{- end }}
{{- if not (regexMatch "(?m)^\\s*http\\s*=\\s*\"[^\"]*:8080\"" $config) }}{{ fail "config needs the port 8080 for http in [listen]" }}{{ end }}
{{- if not (regexMatch "(?m)^\\s*admin\\s*=\\s*\"[^\"]*:9090\"" $config) }}{{ fail "config needs the port 9090 for admin in [listen]" }}{{ end }}
{{- if and .Values.sharedLimits.enabled (not (contains "\"file:/run/secrets/redis/url\"" $config)) }}
{{- fail "sharedLimits.enabled needs [redis] with url = \"file:/run/secrets/redis/url\" in config" }}
{{- end }}
{{- if and .Values.sharedJournal.enabled (not (contains "\"file:/run/secrets/journal/url\"" $config)) }}
{{- fail "sharedJournal.enabled needs [journal] with url = \"file:/run/secrets/journal/url\" in config" }}
{{- end }}
{{- $config }}
{{- end }}
