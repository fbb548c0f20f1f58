#!/usr/bin/env bash
# Makes log-based metrics from monitoring/metrics. Alerts come much later, because a metric can't be used for minutes.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

ask gcloud logging metrics list --project="$PROJECT" --format=json >"$STATE/metrics.json"
plan monitoring metrics --state="$STATE" >"$STATE/plan"
run_plan "$STATE/plan" "$API_OFF"
[[ -s $STATE/plan ]] || say "all metrics are as the files say"
