#!/usr/bin/env bash
# Measures metricstream, VictoriaMetrics and Prometheus one after the other on this machine, with the same generator
# and the same settings, and prints one Markdown table. Each gets an empty data folder; all are on loopback.
#
#   deployments/bench/compare.sh [metricstream] [victoria-metrics] [prometheus]
#
# Settings, from the environment:
#   BIN=./bin/metricstream   the program that is measured, and that measures
#   SERIES=10000  SHARDS=8  INTERVAL=15s  PROTOCOL=1.0 (the Debian packages speak no other)
#   FLAT=15s      duration of the flat-out write
#   PACED=15s RATE=200000    duration and samples/s of the write at a fixed rate
#   SETTLE=15s    wait for merges before sizes are read
#   QUERY=1s      time for each kind of query
#   OUT=          folder for logs and summaries; default: a temporary one that is removed
set -euo pipefail

BIN=${BIN:-./bin/metricstream}
SERIES=${SERIES:-10000} SHARDS=${SHARDS:-8} INTERVAL=${INTERVAL:-15s} PROTOCOL=${PROTOCOL:-1.0}
FLAT=${FLAT:-15s} PACED=${PACED:-15s} RATE=${RATE:-200000} SETTLE=${SETTLE:-15s} QUERY=${QUERY:-1s}
LIMIT=900 # seconds after which a target is ended, whatever happens

targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(metricstream victoria-metrics prometheus)

fail() { echo "compare.sh: $*" >&2; exit 1; }

[ -x "$BIN" ] || fail "there is no $BIN; run make build, or set BIN"
command -v curl >/dev/null || fail "curl is missing: apt-get install curl"
for t in "${targets[@]}"; do
  case $t in
    metricstream) ;;
    victoria-metrics | prometheus)
      command -v "$t" >/dev/null || fail "$t is missing: apt-get install victoria-metrics prometheus" ;;
    *) fail "unknown target $t" ;;
  esac
done

data=$(mktemp -d)
out=${OUT:-$data/out}
mkdir -p "$out"
running=

stop() {
  [ -n "$running" ] || return 0
  kill "$running" 2>/dev/null || true
  wait "$running" 2>/dev/null || true
  running=
}
trap 'stop; rm -rf "$data"' EXIT
trap 'exit 130' INT TERM

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (: </dev/tcp/127.0.0.1/$port) 2>/dev/null || { echo "$port"; return; }
  done
}

# start TARGET PORT FOLDER LOG starts a target in the background.
start() {
  local listen=127.0.0.1:$2
  case $1 in
    metricstream)
      set -- "$4" "$BIN" all --web.listen-address="$listen" --storage.path="$3" --log.level=warn ;;
    victoria-metrics)
      set -- "$4" victoria-metrics -httpListenAddr="$listen" -storageDataPath="$3" -retentionPeriod=100y ;;
    prometheus)
      echo "{}" >"$data/prometheus.yml"
      set -- "$4" prometheus --config.file="$data/prometheus.yml" --web.listen-address="$listen" --storage.tsdb.path="$3" \
        --storage.tsdb.retention.time=100y --web.enable-remote-write-receiver --web.enable-admin-api ;;
  esac
  local log=$1
  shift
  timeout -k 30 "$LIMIT" "$@" >"$log" 2>&1 &
  running=$!
}

ready_path() { case $1 in victoria-metrics) echo /health ;; *) echo /-/ready ;; esac; }

wait_ready() { # TARGET URL LOG
  for _ in $(seq 600); do
    curl -fsS -o /dev/null "$2$(ready_path "$1")" 2>/dev/null && return
    kill -0 "$running" 2>/dev/null || { tail -20 "$3" >&2; fail "$1 ended before it was ready"; }
    sleep 0.2
  done
  tail -20 "$3" >&2
  fail "$1 was not ready after two minutes"
}

measure() { # TARGET
  local target=$1 dir=$out/$1 folder=$data/$1 port url
  port=$(free_port)
  url=http://127.0.0.1:$port
  mkdir -p "$dir" "$folder"
  start "$target" "$port" "$folder" "$dir/log"
  wait_ready "$target" "$url" "$dir/log"
  # nocache=1 keeps VictoriaMetrics from answering repeated queries from a cache and from hiding the newest 30 s;
  # the others ignore it.
  local write=("$BIN" bench write --url="$url/api/v1/write" --query-param=nocache=1 --protocol="$PROTOCOL" --series="$SERIES"
    --shards="$SHARDS" --interval="$INTERVAL" --disk="$folder" --settle="$SETTLE")
  echo "== $target, flat out" >&2
  "${write[@]}" --duration="$FLAT" --json="$dir/flat.json" >&2
  echo "== $target, $RATE samples/s" >&2
  "${write[@]}" --duration="$PACED" --rate="$RATE" --start-after="$dir/flat.json" --json="$dir/paced.json" >&2
  echo "== $target, queries" >&2
  "$BIN" bench query --url="$url" --written="$dir/paced.json" --query-param=nocache=1 --time-per-query="$QUERY" --json="$dir/query.json" >&2
  stored "$target" "$url" "$folder" >"$dir/stored.json"
  stop
  rm -rf "$folder"
}

# stored prints the bytes that the samples take out of the logs: metricstream's log is a queue in front of ClickHouse,
# Prometheus' newest samples are a write-ahead log and memory until a snapshot makes blocks of them.
stored() { # TARGET URL FOLDER
  local what=$3
  case $1 in
    metricstream) what=$3/clickhouse ;;
    prometheus)
      curl -fsS -o /dev/null -X POST "$2/api/v1/admin/tsdb/snapshot"
      what=$3/snapshots ;;
  esac
  du -s --block-size=1 "$what" | cut -f1
}

for t in "${targets[@]}"; do measure "$t"; done

echo
echo "$SERIES series every $INTERVAL, remote write $PROTOCOL, $SHARDS shards; flat out for $FLAT, then $RATE samples/s for $PACED; $(nproc) cores, generator included."
echo
"$BIN" bench table "${targets[@]/#/$out/}"
