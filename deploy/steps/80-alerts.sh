#!/usr/bin/env bash
# Makes the dashboard, the alerts and their notification channels from monitoring/, and the uptime check if wanted.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/monitoring.sh"

read_monitoring
for part in channels uptime; do
    plan monitoring "$part" --state="$STATE" >"$STATE/plan.$part"
    run_plan "$STATE/plan.$part" "$API_OFF"
done
if [[ -s $STATE/plan.channels || -s $STATE/plan.uptime ]]; then
    read_monitoring # now with the channels and the check that were just made
fi
plan monitoring alerts --state="$STATE" >"$STATE/plan"
run_plan "$STATE/plan" "Cannot find metric|$API_OFF"
[[ -s $STATE/plan ]] || say "dashboard and alerts are as the files say"
