#!/usr/bin/env bash
# Makes the service accounts and gives them their roles in the project. accounts.py lists the roles.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/accounts.sh"

read_accounts
plan accounts plan --state="$STATE" >"$STATE/plan"
run_plan "$STATE/plan" "$LATE"
[[ -s $STATE/plan ]] || say "all accounts exist and have their roles"
