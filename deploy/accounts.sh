# shellcheck shell=bash
# Write our service accounts and the project's roles into $STATE/accounts.json and policy.json.

read_accounts() {
    local name created
    [[ -s $STATE/project.json ]] || ask gcloud projects describe "$PROJECT" --format=json >"$STATE/project.json"
    ask gcloud iam service-accounts list --project="$PROJECT" --format=json >"$STATE/accounts.list"
    # The list lacks accounts made within the last minute, so they are asked for by name. For a missing account Google
    # answers 403 or 404.
    for name in runtime monitor invoker build; do
        if ! grep -qF "\"$(account "$name")\"" "$STATE/accounts.list"; then
            gcloud iam service-accounts describe "$(account "$name")" --project="$PROJECT" --format=json \
                >"$STATE/account.$name" 2>/dev/null </dev/null || true
        fi
    done
    "$PYTHON" - "$STATE/accounts.list" "$STATE"/account.[bimr]* >"$STATE/accounts.json" <<'END'
import json, pathlib, sys
texts = [path.read_text() for path in map(pathlib.Path, sys.argv[1:]) if path.exists()]
found = [json.loads(text) for text in texts if text.strip()]
print(json.dumps([each for some in found for each in (some if isinstance(some, list) else [some])]))
END
    if [[ -n $DRY_RUN ]]; then
        say "A dry run makes no POST, so it can't read roles. It prints the commands for all of them:"
    else
        ask gcloud projects get-iam-policy "$PROJECT" --format=json >"$STATE/policy.json"
        created="$(sed -n 's/.*"createTime": "\([^"]*\)".*/\1/p' "$STATE/project.json")"
        if [[ -n $created && $created < 2021-04-09 ]]; then # see accounts.py
            ask gcloud iam service-accounts get-iam-policy "$(account invoker)" --project="$PROJECT" --format=json \
                >"$STATE/invoker.json"
        fi
    fi
}
