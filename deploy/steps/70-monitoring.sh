#!/usr/bin/env bash
# Log-based metrics, the dashboard and the alerts, from monitoring/.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

gcloud logging metrics list --project="$PROJECT" --format=json >"$STATE/metrics.json"
gcloud monitoring dashboards list --project="$PROJECT" --format=json >"$STATE/dashboards.json"
gcloud alpha monitoring policies list --project="$PROJECT" --format=json >"$STATE/alerts.json"
plan monitoring plan --project="$PROJECT" --metrics="$STATE/metrics.json" --dashboards="$STATE/dashboards.json" \
    --alerts="$STATE/alerts.json" --write="$STATE" >"$STATE/plan"
run_plan "$STATE/plan"
[[ -s $STATE/plan ]] || say "all are as the files say"
