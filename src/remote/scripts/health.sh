#!/bin/sh
# health.sh: waits until a stack's containers serve, at most SECONDS; longer where a health check's own start period is longer.
# usage: sudo sh -s -- STACK SECONDS [SERVICE…] <health.sh       services that need not be named must exist if named
# Healthy: running and healthy; or running for two seconds (ten after a restart) where there is no health check;
# or exited with 0 and not meant to restart. `docker compose up --wait` fails on the last (docker/compose#10596).
# Given up at once: exited with an error and not meant to restart; restarted four times; unhealthy twice in a row.
# stdout, a line of JSON for each change:  {"elapsed":3,"services":[{"name","service","state","health","verdict"}…]}
# then {"healthy":true,"elapsed":9} and exit 0, or the failure bundle and exit 1:
#   {"healthy":false,"elapsed":60,"reason":…,"services":[{"name","service","verdict","state":<docker's State with the
#   health log>,"logs":"last 50 lines"}…],"disk":"df","memory":"free"}
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# shellcheck disable=SC2016 # awk's dollars
JSON='
function json(s,  out, i, n, c, k) {
  if (!(" " in ORD)) for (i = 1; i < 256; i++) ORD[sprintf("%c", i)] = i
  n = length(s)
  for (i = 1; i <= n; i++) {
    c = substr(s, i, 1); k = ORD[c]
    if (c == "\"" || c == "\\") out = out "\\" c
    else if (c == "\n") out = out "\\n"
    else if (c == "\t") out = out "\\t"
    # Logs are for reading: what is not ASCII becomes U+FFFD once a run of bytes.
    else if (k > 126) { if (substr(out, length(out) - 2) != "\357\277\275") out = out "\357\277\275" }
    else if (k < 32) out = out sprintf("\\u%04x", k)
    else out = out c
  }
  return "\"" out "\""
}
'
json_text() { awk "$JSON"'{ t = t (NR > 1 ? "\n" : "") $0 } END { print json(t) }'; }

# A line for each container: name|service|state|health|exit|policy|restarts|started|oneoff
look() {
  ids=$(docker ps --all --quiet --filter "label=com.docker.compose.project=$stack" </dev/null) || return 1
  [ -n "$ids" ] || return 0
  # shellcheck disable=SC2016,SC2086 # the dollars are the template's; ids are words
  docker inspect --type container --format '{{slice .Name 1}}|{{index .Config.Labels "com.docker.compose.service"}}|{{.State.Status}}|{{if .State.Health}}{{.State.Health.Status}}{{end}}|{{.State.ExitCode}}|{{.HostConfig.RestartPolicy.Name}}|{{.RestartCount}}|{{.State.StartedAt}}|{{index .Config.Labels "com.docker.compose.oneoff"}}' \
    $ids </dev/null 2>/dev/null | grep -v '|True$' | sort
}

# Adds a verdict to each line: ok, wait or bad. docker's times sort like text.
judge() {
  awk -F'|' -v seen="$seen" -v two="$(date -u -d '2 seconds ago' +%FT%T)" -v ten="$(date -u -d '10 seconds ago' +%FT%T)" '
    BEGIN { while ((getline l < seen) > 0) { split(l, f, "|"); first[f[1]] = f[2]; sick[f[1]] = f[3] } close(seen) }
    { name = $1; verdict = "wait"
      if (!(name in first)) first[name] = $7
      sick[name] = $3 == "running" && $4 == "unhealthy" ? sick[name] + 1 : 0
      if ($3 == "running") {
        if ($4 == "healthy") verdict = "ok"
        else if ($4 == "unhealthy") verdict = sick[name] > 1 ? "bad" : "wait"
        else if ($4 == "" && $8 < ($7 > first[name] ? ten : two)) verdict = "ok"
      } else if ($3 == "exited" && ($6 == "no" || $6 == "" || $6 == "on-failure")) {
        if ($5 == 0) verdict = "ok"
        else if ($6 != "on-failure") verdict = "bad"
      }
      print $0 "|" verdict
      out = out name "|" first[name] "|" sick[name] "\n" }
    END { printf "%s", out >seen }'
}

# How long to wait, in seconds: what a container's own start period says and a minute for the look after it, an hour at most.
patience() {
  ids=$(docker ps --all --quiet --filter "label=com.docker.compose.project=$stack" </dev/null) || ids=
  # shellcheck disable=SC2016,SC2086 # the dollars are awk's; ids are words
  docker inspect --type container --format '{{with .Config.Healthcheck}}{{printf "%d" .StartPeriod}}{{end}}' $ids </dev/null 2>/dev/null |
    awk -v limit="$limit" '$1 > 0 && $1 / 1e9 + 60 > limit { limit = $1 / 1e9 + 60 } END { print (limit < 3600 ? int(limit) : 3600) }'
}

report() {
  awk -F'|' "$JSON"'NF > 1 { t = t (t == "" ? "" : ",") "{\"name\":" json($1) ",\"service\":" json($2) ",\"state\":" json($3) ",\"health\":" ($4 == "" ? "null" : json($4)) ",\"verdict\":\"" $NF "\"}" }
    END { print "\"services\":[" t "]" }'
}

bundle() {
  printf '{"healthy":false,"elapsed":%s,"reason":%s,"services":[' "$1" "$(echo "$2" | json_text)"
  sep=
  echo "$lines" | grep -v '|ok$' | while IFS='|' read -r name service _; do
    [ -n "$name" ] || continue
    state=$(docker inspect --type container --format '{{json .State}}' "$name" 2>/dev/null </dev/null)
    printf '%s{"name":"%s","service":"%s","verdict":"bad","state":%s,"logs":%s}' "$sep" "$name" "$service" "${state:-null}" \
      "$(docker logs --tail 50 "$name" 2>&1 </dev/null | json_text)"
    sep=,
  done
  printf '],"disk":%s,"memory":%s}\n' "$(df -h / /data 2>/dev/null | json_text)" "$(free -m | json_text)"
}

main() {
  case ${1:-} in '' | [!a-z0-9]* | *[!a-z0-9_-]*) echo "usage: health.sh STACK SECONDS [SERVICE…]" >&2; exit 64 ;; esac
  case ${2:-} in '' | *[!0-9]*) echo "usage: health.sh STACK SECONDS [SERVICE…]" >&2; exit 64 ;; esac
  stack=$1 limit=$2; shift 2
  T=$(mktemp -d /run/provision-health.XXXXXX) || exit 1
  trap 'rm -rf "$T"' EXIT
  seen=$T/seen; : >"$seen"
  began=$(date +%s) last=
  while :; do
    elapsed=$(($(date +%s) - began))
    if ! lines=$(look); then reason='the docker daemon does not answer'; lines=
    else
      lines=$([ -z "$lines" ] || echo "$lines" | judge)
      reason=
      [ -n "$lines" ] || reason="stack $stack has no containers"
      for service in "$@"; do
        case $NEWLINE$lines in *"|$service|"*) ;; *) reason="service $service has no container" ;; esac
      done
      case $NEWLINE$lines$NEWLINE in
        *"|bad$NEWLINE"*) bundle "$elapsed" 'a service failed'; exit 1 ;;
        *"|wait$NEWLINE"*) reason=${reason:-'not healthy in time'} ;;
      esac
    fi
    state=$(echo "$lines" | report)
    [ "$state" = "$last" ] || { printf '{"elapsed":%s,%s}\n' "$elapsed" "$state"; last=$state; }
    [ -n "$reason" ] || { printf '{"healthy":true,"elapsed":%s}\n' "$elapsed"; exit 0; }
    [ "$elapsed" -lt "$limit" ] || [ "$elapsed" -lt "$(patience)" ] || { bundle "$elapsed" "$reason"; exit 1; }
    sleep 1
  done
}

NEWLINE='
'
main "$@"
