# ./dev stress: the storms of test/stress, each for a long time; the models of test/model up to larger bounds.

stress_models() {
    need "${packages_test[@]}"
    say "build release"
    build release weft_model
    step "models" env WEFT_MODEL_LONG=1 build/release/test/run build/release/test/weft_model
    report_steps
}

cmd_stress() {
    local seconds=600 operations='' preset=tsan only='' arguments=()
    if [[ ${1:-} == --models ]]; then
        (($# == 1)) || die "stress: --models goes alone"
        stress_models
        return
    fi
    while (($#)); do
        (($# >= 2)) || die "stress: $1 needs a value"
        case $1 in
            --seconds) seconds=$2 ;;
            --preset) preset=$2 ;;
            --program) only=$2 ;;
            --seed) arguments+=(--seed "$2") ;;
            --operations) operations=$2 ;;
            *) die "stress: unknown argument: $1" ;;
        esac
        shift 2
    done
    [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "stress: --seconds wants a number above 0"
    local amount=(--seconds "$seconds")
    if [[ $operations ]]; then
        [[ $operations =~ ^[1-9][0-9]*$ ]] || die "stress: --operations wants a number above 0"
        [[ $only ]] || die "stress: --operations wants --program, and one that counts its operations: chan_storm"
        amount=(--operations "$operations")
    fi

    local sources names=()
    mapfile -t sources < <(compgen -G 'test/stress/*.cpp' | LC_ALL=C sort)
    local source name
    for source in "${sources[@]}"; do
        name=$(basename "$source" .cpp)
        if [[ -z $only || $only == "$name" ]]; then
            names+=("$name")
        fi
    done
    ((${#names[@]})) || die "stress: no such program in test/stress"

    need "${packages_test[@]}"
    say "build $preset"
    build "$preset" "${names[@]/#/stress_}"
    for name in "${names[@]}"; do
        step "$name" "build/$preset/test/run" "build/$preset/test/stress/$name" "${amount[@]}" "${arguments[@]}"
    done
    report_steps
}
