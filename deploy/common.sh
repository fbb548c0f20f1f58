# shellcheck shell=bash
# The command line of deploy.sh, teardown.sh and smoke.sh: the project, the region, the settings.

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

usage_error() {
    printf 'ERROR: %s\n%s\n' "$1" "$USAGE" >&2
    exit 2
}

# Takes the words of the command line that are the same everywhere; others go to the function `option` of the caller,
# which sets TAKEN to how many it has taken.
parse() {
    PROJECT="" REGION="" DRY_RUN="" ENV_FILE="$HERE/settings.env"
    while (($#)); do
        TAKEN=1
        case "$1" in
            -h | --help)
                printf '%s\n' "$USAGE"
                exit 0
                ;;
            --dry-run) DRY_RUN=1 ;;
            --region | --env-file)
                [[ -n ${2:-} ]] || usage_error "$1 needs a value"
                [[ $1 == --region ]] && REGION="$2" || ENV_FILE="$2"
                TAKEN=2
                ;;
            -*) option "$@" ;;
            *)
                [[ -z $PROJECT ]] || usage_error "one project at a time: $PROJECT, then $1"
                PROJECT="$1"
                ;;
        esac
        shift "$TAKEN"
    done
    [[ -n $PROJECT ]] || usage_error "which project?"
    [[ $PROJECT =~ ^[a-z][a-z0-9-]{4,28}[a-z0-9]$ ]] || usage_error "'$PROJECT' is not a project id such as my-app-123"
    [[ -z $REGION || $REGION =~ ^[a-z]+-[a-z]+[0-9]+$ ]] || usage_error "'$REGION' is not a region such as us-central1"
    [[ -f $ENV_FILE ]] || usage_error "there is no file $ENV_FILE; --env-file names the settings"
    ENV_FILE="$(cd "$(dirname "$ENV_FILE")" && pwd)/$(basename "$ENV_FILE")"
}

# A folder for what steps tell each other, gone at the end; the tools; the settings, checked.
begin() {
    STATE="$(mktemp -d "${TMPDIR:-/tmp}/credit-refresh.XXXXXX")"
    trap 'rm -rf "$STATE"' EXIT
    export PROJECT REGION DRY_RUN ENV_FILE STATE
    # shellcheck source=lib.sh
    source "$HERE/lib.sh"
    command -v gcloud >/dev/null || die "gcloud is not on PATH: https://cloud.google.com/sdk/docs/install"
    "$PYTHON" -c 'from importlib.util import find_spec as f; assert f("pydantic") and f("google.cloud.scheduler_v1")' \
        2>/dev/null ||
        die "$PYTHON lacks what the deployment runs on: $PYTHON -m pip install -r requirements.txt"
    plan check --project="$PROJECT" --env-file="$ENV_FILE" --write="$ENVIRONMENT"
    gcloud projects describe "$PROJECT" --format=none ||
        die "project $PROJECT can't be read: check its id, and who gcloud is: gcloud auth list"
    locate
}

# Where the database is decides where its events arise, and where functions are near it.
locate() {
    local database
    database="$("$PYTHON" -c 'import json, sys; print(json.load(sys.stdin).get("CREDIT_REFRESH_DATABASE", "(default)"))' \
        <"$ENVIRONMENT")"
    DATABASE_LOCATION="$(ask gcloud firestore databases describe --database="$database" --project="$PROJECT" \
        --format='value(locationId)')"
    if [[ -z $DATABASE_LOCATION ]]; then
        say "warning: no Firestore database $database was found; it has to be there before the functions are called"
    fi
    case "$DATABASE_LOCATION" in
        "") : "${REGION:=us-central1}" ;;
        nam*) : "${REGION:=us-central1}" ;;
        eur*) : "${REGION:=europe-west1}" ;;
        *) : "${REGION:=$DATABASE_LOCATION}" ;;
    esac
    : "${DATABASE_LOCATION:=$REGION}"
    export REGION DATABASE_LOCATION
}
