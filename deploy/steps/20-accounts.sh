#!/usr/bin/env bash
# The service accounts, and their roles in the project: accounts.py says what each may do.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/accounts.sh"

read_accounts
plan accounts plan --state="$STATE" >"$STATE/plan"
run_plan "$STATE/plan" "$LATE"
[[ -s $STATE/plan ]] || say "all are there, with their roles"
