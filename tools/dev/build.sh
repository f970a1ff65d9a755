# Configuring, building, and running examples.

# need_for_preset PRESET: the compilers that it names.
need_for_preset() {
    need "${packages_build[@]}"
    case $1 in
        *clang*) need "${packages_clang[@]}" ;;
        aarch64) [[ $(uname -m) == aarch64 ]] || need "${packages_arm[@]}" ;;
    esac
}

# configure PRESET [cmake argument...]: quiet unless it fails.
configure() {
    local log=build/$1.configure.log
    mkdir -p build
    if ! cmake --preset "$@" >"$log" 2>&1; then
        cat "$log" >&2
        die "cmake --preset $1 failed"
    fi
}

# build PRESET [TARGET...]
build() {
    local preset=$1
    shift
    need_for_preset "$preset"
    configure "$preset"
    local target=()
    (($# == 0)) || target=(--target "$@")
    cmake --build --preset "$preset" -j "$jobs" "${target[@]}"
}

# Without targets: the libraries, which is all that `cmake --install` wants.
cmd_build() {
    local preset=${1:-release}
    shift || true
    (($#)) || set -- weft_libraries
    grep -q "\"name\": \"$preset\", \"configurePreset\"" CMakePresets.json ||
        die "build: no preset $preset (\`cmake --list-presets\` names all)"
    [[ $* != weft_libraries ]] || want "${packages_optional[@]}"
    say "build $preset: $*"
    build "$preset" "$@"
    left_out "$preset"
}

# left_out PRESET: prints which parts the build leaves out, and why.
left_out() { sed -n 's/^-- weft: \(weft::.* is left out: .*\)/\1/p' "build/$1.configure.log"; }

# packages_of_example NAME
packages_of_example() {
    case $1 in
        million) echo "${packages_million[*]}" ;;
        http_*) echo libssl-dev libboost1.81-dev ;;
    esac
}

examples() {
    local entry
    for entry in examples/*; do
        case $entry in
            *.cpp) basename "$entry" .cpp ;;
            examples/guide) ;; # what the pages of docs/guide show
            *) compgen -G "$entry/*.cpp" >/dev/null && basename "$entry" ;;
        esac
    done || true
}

cmd_run() {
    case ${1:-} in
        --list)
            examples
            return
            ;;
        -h | --help)
            usage
            return
            ;;
    esac
    local name=million
    if (($#)) && [[ $1 != -* ]]; then
        name=$1
        shift
    fi
    examples | grep -qxF -e "$name" || die "no example $name; there are: $(examples | tr '\n' ' ')"
    local packages
    read -ra packages <<<"$(packages_of_example "$name")"
    need "${packages_build[@]}" "${packages[@]}"
    if [[ -e build/release/libweft.a ]]; then
        say "build the example $name"
    else
        say "build the example $name, and for the first time the library: some minutes"
    fi
    build release "example_$name"
    local program=$PWD/build/release/examples/$name
    cd "$caller_dir"
    exec "$program" "$@"
}

cmd_docs() {
    (($# == 0)) || die "docs: unknown argument: $1"
    need "${packages_docs[@]}"
    mkdir -p build/docs
    doxygen docs/Doxyfile
    say "build/docs/html/index.html"
}

# need_for_bench PACKAGE... -- ARGUMENT...: the help of a tool needs python3 only.
need_for_bench() {
    local packages=()
    while [[ $1 != -- ]]; do
        packages+=("$1")
        shift
    done
    [[ " $* " != *" -h "* && " $* " != *" --help "* ]] || packages=(python3)
    need "${packages[@]}"
}

cmd_bench() {
    if [[ ${1:-} == --net ]]; then
        shift
        need_for_bench "${packages_bench_net[@]}" -- "$@"
        exec python3 -B tools/net_bench.py "$@"
    fi
    need_for_bench "${packages_bench[@]}" -- "$@"
    exec python3 -B tools/bench.py "$@"
}
