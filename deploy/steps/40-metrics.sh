#!/usr/bin/env bash
# Log-based metrics, from monitoring/metrics. Well before the alerts, which can name a metric only minutes after.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

gcloud logging metrics list --project="$PROJECT" --format=json >"$STATE/metrics.json"
plan monitoring metrics --project="$PROJECT" --metrics="$STATE/metrics.json" >"$STATE/plan"
run_plan "$STATE/plan"
[[ -s $STATE/plan ]] || say "all are as the files say"
