# What all parts of ./dev share: messages and the number of jobs.

say() { printf '%s==>%s %s\n' "$bold" "$plain" "$*"; }
die() {
    printf './dev: %s\n' "$*" >&2
    exit 1
}

if [[ -t 1 ]]; then
    bold=$'\e[1m' plain=$'\e[0m'
else
    bold='' plain=''
fi

jobs=${WEFT_JOBS:-$(nproc)}
[[ $jobs =~ ^[1-9][0-9]*$ ]] || die "WEFT_JOBS=$jobs is not a positive number"
