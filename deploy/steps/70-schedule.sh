#!/usr/bin/env bash
# Makes Cloud Scheduler's jobs from shared/schedule.toml.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

plan scheduler --state="$STATE" --region="$REGION" ${DRY_RUN:+--dry-run} ${PRUNE:+--prune}
