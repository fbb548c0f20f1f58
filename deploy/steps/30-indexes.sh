#!/usr/bin/env bash
# Index exemptions and TTL of our own fields, from firestore.indexes.json; whatever the app has stays as it is.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/fields.sh"

read_fields
plan indexes plan --project="$PROJECT" --environment="$ENVIRONMENT" --existing="$STATE/fields.json" >"$STATE/plan"
run_plan "$STATE/plan"
[[ -s $STATE/plan ]] || say "all are as the file says"
