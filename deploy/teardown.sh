#!/usr/bin/env bash
# Removes what deploy.sh has set up. Users, jobs, runs and everything else in Firestore stay, and so do enabled APIs.
set -euo pipefail

USAGE='usage: deploy/teardown.sh PROJECT_ID [--region REGION] [--dry-run] [--yes] [--env-file FILE]
  --yes        do not ask'

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

YES=""
option() {
    [[ $1 == --yes ]] || usage_error "what is $1?"
    YES=1
}

parse "$@"
begin
# shellcheck source=accounts.sh
source "$HERE/accounts.sh"

if [[ -z $YES && -z $DRY_RUN ]]; then
    say "This removes functions, schedule, alerts, accounts and index exemptions of Credit Refresh from $PROJECT, region"
    say "$REGION. Data in Firestore stays. Type the project's id to go on:"
    read -r answer
    [[ $answer == "$PROJECT" ]] || die "nothing was removed"
fi

say "
== schedule"
printf '[]' >"$STATE/none.json"
plan scheduler --project="$PROJECT" --region="$REGION" --functions="$STATE/none.json" --account="$(account invoker)" \
    --environment="$ENVIRONMENT" --remove-all ${DRY_RUN:+--dry-run}

say "
== monitoring"
gcloud logging metrics list --project="$PROJECT" --format=json >"$STATE/metrics.json"
gcloud monitoring dashboards list --project="$PROJECT" --format=json >"$STATE/dashboards.json"
gcloud alpha monitoring policies list --project="$PROJECT" --format=json >"$STATE/alerts.json"
plan monitoring remove --project="$PROJECT" --metrics="$STATE/metrics.json" --dashboards="$STATE/dashboards.json" \
    --alerts="$STATE/alerts.json" >"$STATE/plan"
run_plan "$STATE/plan"

say "
== functions"
read_functions
plan functions remove --project="$PROJECT" --region="$REGION" --existing="$STATE/functions.json" >"$STATE/plan"
run_plan "$STATE/plan"

say "
== indexes"
source "$HERE/fields.sh"
read_fields
plan indexes clear --project="$PROJECT" --environment="$ENVIRONMENT" --existing="$STATE/fields.json" >"$STATE/plan"
run_plan "$STATE/plan"

say "
== accounts"
held=""
[[ -n $DRY_RUN ]] || held="$(gcloud projects get-iam-policy "$PROJECT" --flatten='bindings[].members' \
    --format='value[separator=" "](bindings.members, bindings.role)')"
for row in "${ROLES[@]}"; do
    member="serviceAccount:$(account "${row%%:*}")"
    [[ -n $DRY_RUN ]] || grep -qxF "$member ${row#*:}" <<<"$held" || continue
    run gcloud projects remove-iam-policy-binding "$PROJECT" --member="$member" --role="${row#*:}" --condition=None \
        --format=none
done
there="$(gcloud iam service-accounts list --project="$PROJECT" --format='value(email)')"
for row in "${ACCOUNTS[@]}"; do
    if grep -qxF "$(account "${row%%:*}")" <<<"$there"; then
        run gcloud iam service-accounts delete "$(account "${row%%:*}")" --project="$PROJECT" --quiet
    fi
done
say "
Done.${DRY_RUN:+ Nothing was removed.} Users and the collections of Credit Refresh are as they were."
