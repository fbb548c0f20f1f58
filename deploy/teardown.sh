#!/usr/bin/env bash
# Removes what deploy.sh has set up. All data in Firestore stays, and enabled APIs stay enabled.
set -euo pipefail

USAGE='usage: deploy/teardown.sh PROJECT_ID [--region REGION] [--dry-run] [--yes] [--folder FOLDER] [--env-file FILE]
  --yes        do not ask'

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

YES=""
option() {
    [[ $1 == --yes ]] || usage_error "unknown option $1"
    YES=1
}

parse "$@"
begin
# shellcheck source=accounts.sh
source "$HERE/accounts.sh"
# shellcheck source=monitoring.sh
source "$HERE/monitoring.sh"
# shellcheck source=fields.sh
source "$HERE/fields.sh"

if [[ -z $YES && -z $DRY_RUN ]]; then
    say "This removes functions, schedule, alerts, accounts and index exemptions of $TITLE from $PROJECT, region"
    say "$REGION. Data in Firestore stays. Type the project's id to go on:"
    read -r answer
    [[ $answer == "$PROJECT" ]] || die "nothing was removed"
fi

BEFORE_APIS=1 # an API that is off holds nothing of ours

say "
== schedule"
plan scheduler --state="$STATE" --region="$REGION" --remove-all ${DRY_RUN:+--dry-run}

say "
== monitoring"
ask_into metrics.json gcloud logging metrics list --project="$PROJECT" --format=json
read_monitoring
plan monitoring remove --state="$STATE" >"$STATE/plan"
run_plan "$STATE/plan"

say "
== functions"
plan functions remove --state="$STATE" --region="$REGION" >"$STATE/plan"
run_plan "$STATE/plan"

say "
== indexes"
read_fields
plan indexes clear --state="$STATE" >"$STATE/plan"
run_plan "$STATE/plan" "$BUSY"

say "
== accounts"
read_accounts
plan accounts remove --state="$STATE" >"$STATE/plan"
run_plan "$STATE/plan" "$LATE"

say "
Done.${DRY_RUN:+ Nothing was removed.} This stays. Remove it by hand if you want to:
- users with their stamps, and the collections of $TITLE
- enabled services, because the app may use them
- what Cloud Functions made for builds: buckets gcf-v2-…, the image repository gcf-artifacts
- logs, until they expire
- the deployer's account, the GitHub pool and roles given by hand, if you followed docs/deploy.md there"
