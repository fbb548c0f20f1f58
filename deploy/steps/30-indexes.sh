#!/usr/bin/env bash
# Sets index exemptions and TTL of our fields, from firestore.indexes.json. The app's own fields are not changed.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/fields.sh"

only=()
if [[ $DATABASE_EDITION == ENTERPRISE ]]; then
    only=(--ttl-only)
    say "warning: the database is of the Enterprise edition, which has no automatic indexes and refuses exemptions: only TTL"
    say "is set. Make the indexes that docs/deploy.md lists for it, or use a database of the Standard edition."
fi
read_fields
plan indexes plan --state="$STATE" "${only[@]}" >"$STATE/plan"
run_plan "$STATE/plan" "$BUSY|$API_OFF"
[[ -s $STATE/plan ]] || say "all fields are as the file says"
