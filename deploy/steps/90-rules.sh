#!/usr/bin/env bash
# Prints our security rules and index overrides. The app's own files are the app's, so merge them by hand.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

if [[ -f $ROOT/firestore.rules ]]; then
    say "Nothing is deployed here. Merge this into the app's own rules, so that clients can't write balances and stamps:"
    sed 's/^/    /' "$ROOT/firestore.rules"
fi
if [[ $DATABASE_EDITION != ENTERPRISE ]]; then
    say "
Merge this into fieldOverrides of the app's firestore.indexes.json, if it has one: \`firebase deploy --force\` removes
every override from the database that its file lacks."
    plan indexes overrides --state="$STATE" | sed 's/^/    /'
fi
