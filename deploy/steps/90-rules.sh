#!/usr/bin/env bash
# The app's security rules are the app's: ours are printed, to be merged by hand.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

if [[ -f $ROOT/firestore.rules ]]; then
    say "Nothing is deployed here. Merge this into the app's own rules, so that clients can't write what is ours:"
    sed 's/^/    /' "$ROOT/firestore.rules"
else
    say "nothing to merge"
fi
