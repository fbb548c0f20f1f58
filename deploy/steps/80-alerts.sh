#!/usr/bin/env bash
# The dashboard and the alerts, from monitoring/.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

gcloud monitoring dashboards list --project="$PROJECT" --format=json >"$STATE/dashboards.json"
gcloud alpha monitoring policies list --project="$PROJECT" --format=json >"$STATE/alerts.json"
plan monitoring alerts --project="$PROJECT" --dashboards="$STATE/dashboards.json" --alerts="$STATE/alerts.json" \
    --write="$STATE" >"$STATE/plan"
run_plan "$STATE/plan" 'Cannot find metric'
[[ -s $STATE/plan ]] || say "all are as the files say"
