#!/usr/bin/env bash
# Log-based metrics, from monitoring/metrics. Well before the alerts, which can name a metric only minutes after.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

ask gcloud logging metrics list --project="$PROJECT" --format=json >"$STATE/metrics.json"
plan monitoring metrics --state="$STATE" >"$STATE/plan"
run_plan "$STATE/plan" "$API_OFF"
[[ -s $STATE/plan ]] || say "all are as the files say"
