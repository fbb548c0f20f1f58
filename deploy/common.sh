# shellcheck shell=bash
# The command line of deploy.sh, teardown.sh and smoke.sh: the project, the region, the settings.

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

usage_error() {
    printf 'ERROR: %s\n%s\n' "$1" "$USAGE" >&2
    exit 2
}

# Parse the command line. Words that all scripts share are handled here. Other words go to the function `option` of the
# caller, which sets TAKEN to the number of words that it used.
parse() {
    PROJECT="" REGION="" DRY_RUN="" CHECK="" FOLDER="" ENV_FILE="" NOTIFIED=()
    while (($#)); do
        TAKEN=1
        case "$1" in
            -h | --help)
                printf '%s\n' "$USAGE"
                exit 0
                ;;
            --dry-run) DRY_RUN=1 ;;
            --region | --env-file | --folder)
                [[ -n ${2:-} ]] || usage_error "$1 needs a value"
                case "$1" in
                    --region) REGION="$2" ;;
                    --folder) FOLDER="$2" ;;
                    *) ENV_FILE="$2" ;;
                esac
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
    find_files
}

# Find the folder of the project, if it has one, and the file with the settings.
find_files() {
    REPEATED=() # options for the command that continues after a failure
    [[ -z $FOLDER ]] || REPEATED+=(--folder "$FOLDER")
    [[ -z $ENV_FILE ]] || REPEATED+=(--env-file "$ENV_FILE")
    [[ -n $FOLDER || ! -d $HERE/projects/$PROJECT ]] || FOLDER="$HERE/projects/$PROJECT"
    [[ -z $FOLDER || -d $FOLDER ]] || usage_error "there is no folder $FOLDER"
    [[ -z $FOLDER ]] || FOLDER="$(cd "$FOLDER" && pwd)"
    if [[ -z $ENV_FILE ]]; then
        ENV_FILE="$HERE/settings.env"
        [[ ! -f $FOLDER/settings.env ]] || ENV_FILE="$FOLDER/settings.env"
    fi
    [[ -f $ENV_FILE ]] || usage_error "there is no file $ENV_FILE; --env-file names the settings"
    ENV_FILE="$(cd "$(dirname "$ENV_FILE")" && pwd)/$(basename "$ENV_FILE")"
}

# Make a temporary folder for the files that steps share, check tools and settings, and read which functions exist.
begin() {
    STATE="$(mktemp -d "${TMPDIR:-/tmp}/credit-refresh.XXXXXX")"
    trap 'rm -rf "$STATE"' EXIT
    export PROJECT REGION DRY_RUN STATE
    # shellcheck source=lib.sh
    source "$HERE/lib.sh"
    command -v gcloud >/dev/null || die "gcloud is not on PATH: https://cloud.google.com/sdk/docs/install"
    "$PYTHON" -c 'from importlib.util import find_spec as f; assert f("pydantic") and f("google.cloud.scheduler_v1")' \
        2>/dev/null ||
        die "$PYTHON lacks the libraries of the deployment: $PYTHON -m pip install -r requirements.txt"
    plan check --project="$PROJECT" --env-file="$ENV_FILE" ${FOLDER:+--folder="$FOLDER"} --write="$STATE" \
        "${NOTIFIED[@]/#/--notify=}"
    # shellcheck source=/dev/null
    source "$STATE/setup.sh"
    BEFORE_APIS=1
    ask gcloud projects describe "$PROJECT" --format=json >"$STATE/project.json" ||
        die "project $PROJECT can't be read: check its id, and who gcloud is: gcloud auth list"
    locate
    read_functions
    [[ -n $CHECK ]] || plan functions refuse --state="$STATE" --region="$REGION"
    BEFORE_APIS=""
}

# Read where the database is, and its edition. Functions should be near it. The trigger has to be in the same location.
locate() {
    local found type recovery
    found="$(ask gcloud firestore databases describe --database="$DATABASE" --project="$PROJECT" \
        --format='value[separator=";"](locationId, type, databaseEdition, pointInTimeRecoveryEnablement)')"
    IFS=';' read -r DATABASE_LOCATION type DATABASE_EDITION recovery <<<"$found;;;"
    [[ $type != DATASTORE_MODE ]] ||
        die "database $DATABASE is in Datastore mode; the refresh needs one in native mode: name it with CREDIT_REFRESH_DATABASE"
    if [[ -z $DATABASE_LOCATION ]]; then
        say "warning: no Firestore database $DATABASE was found; it has to be there before the functions are called"
    elif [[ $recovery != POINT_IN_TIME_RECOVERY_ENABLED* ]]; then
        say "warning: point-in-time recovery of database $DATABASE is off, so nothing brings balances back as they were;" \
            "before the users are adopted: gcloud firestore databases update --database='$DATABASE' --enable-pitr"
    fi
    : "${REGION:=$OWN_REGION}"
    case "$DATABASE_LOCATION" in
        "" | nam*) : "${REGION:=us-central1}" ;;
        eur*) : "${REGION:=europe-west1}" ;;
        *) : "${REGION:=$DATABASE_LOCATION}" ;;
    esac
    : "${DATABASE_LOCATION:=$REGION}"
    export REGION DATABASE_LOCATION DATABASE_EDITION
}
