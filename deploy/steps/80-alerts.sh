#!/usr/bin/env bash
# The dashboard and the alerts, from monitoring/, whom they tell, and the check from outside if there is to be one.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/monitoring.sh"

read_monitoring
for part in channels uptime; do
    plan monitoring "$part" --state="$STATE" >"$STATE/plan.$part"
    run_plan "$STATE/plan.$part" "$API_OFF"
done
if [[ -s $STATE/plan.channels || -s $STATE/plan.uptime ]]; then
    read_monitoring # with the names of what was just made
fi
plan monitoring alerts --state="$STATE" >"$STATE/plan"
run_plan "$STATE/plan" "Cannot find metric|$API_OFF"
[[ -s $STATE/plan ]] || say "all are as the files say"
