#!/usr/bin/env bash
# Cloud Scheduler's jobs, from shared/schedule.toml.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

read_functions
plan scheduler --project="$PROJECT" --region="$REGION" --functions="$STATE/functions.json" \
    --account="$(account invoker)" --environment="$ENVIRONMENT" ${DRY_RUN:+--dry-run} ${PRUNE:+--prune}
