# Debian packages: which are missing, and how they get here.

packages_build=(g++ cmake ninja-build)
# Of what `cmake --install` installs, this is needed for parts only: weft::tls, weft::dns, weft::debug.
packages_optional=(libssl-dev libc-ares-dev libdw-dev pkgconf)
packages_edges=("${packages_optional[@]}" libboost1.81-dev)
packages_million=(libcli11-dev nlohmann-json3-dev libfmt-dev)
packages_examples=("${packages_build[@]}" "${packages_edges[@]}" "${packages_million[@]}")
packages_clients=(curl openssl netcat-openbsd wrk apache2-utils)
packages_test=("${packages_examples[@]}" "${packages_clients[@]}" libgtest-dev python3 valgrind)
packages_format=(clang-format-19)
packages_clang=(clang-19 libclang-rt-19-dev)
packages_lint=("${packages_build[@]}" python3 "${packages_format[@]}" "${packages_clang[@]}" clang-tidy-19 libgtest-dev "${packages_edges[@]}")
packages_arm=(g++-aarch64-linux-gnu qemu-user)
packages_test_all=("${packages_test[@]}" "${packages_format[@]}" "${packages_clang[@]}")
[[ $(uname -m) == aarch64 ]] || packages_test_all+=("${packages_arm[@]}")
packages_bench=("${packages_build[@]}" "${packages_edges[@]}" libbenchmark-dev python3 golang-go valgrind wrk)
packages_bench_net=("${packages_bench[@]}" nginx util-linux)
packages_docs=(doxygen)
packages_all=("${packages_test_all[@]}" "${packages_lint[@]}" "${packages_bench_net[@]}" "${packages_docs[@]}" gdb)

# Whether what a package is needed for is here, wherever it came from.
have_package() {
    case $1 in
        ninja-build) command -v ninja ;;
        pkgconf) command -v pkg-config ;;
        clang-19) command -v clang++-19 ;;
        g++-aarch64-linux-gnu) command -v aarch64-linux-gnu-g++ ;;
        qemu-user) command -v qemu-aarch64 ;;
        golang-go) command -v go || test -x /usr/local/go/bin/go ;;
        libssl-dev) test -e /usr/include/openssl/ssl.h ;;
        libboost1.81-dev) test -e /usr/include/boost/beast/version.hpp ;;
        netcat-openbsd) command -v nc ;;
        nginx) command -v nginx || test -x /usr/sbin/nginx ;;
        util-linux) command -v taskset ;;
        apache2-utils) command -v ab ;;
        libcli11-dev) test -e /usr/include/CLI/CLI.hpp ;;
        nlohmann-json3-dev) test -e /usr/include/nlohmann/json.hpp ;;
        libdw-dev) test -e /usr/include/elfutils/libdwfl.h ;;
        libfmt-dev) test -e /usr/include/fmt/format.h ;;
        libbenchmark-dev) test -e /usr/include/benchmark/benchmark.h ;;
        libc-ares-dev) test -e /usr/include/ares.h ;;
        libgtest-dev) test -e /usr/include/gtest/gtest.h -a -e /usr/src/googletest/CMakeLists.txt ;;
        libclang-rt-19-dev) compgen -G '/usr/lib/llvm-19/lib/clang/*/lib/linux/libclang_rt.tsan*.a' ;;
        *) command -v "$1" ;;
    esac >/dev/null
}

# missing_packages PACKAGE...: sets `missing`.
missing_packages() {
    local package
    missing=()
    for package in "$@"; do
        if ! have_package "$package" && [[ " ${missing[*]} " != *" $package "* ]]; then
            missing+=("$package")
        fi
    done
}

# Sets `as_root`: what runs a command as root. Sets `no_root`: why packages can't be installed, or empty.
find_root() {
    as_root=() no_root=''
    if ! command -v apt-get >/dev/null; then
        no_root="missing, and no apt-get here to install it: ${missing[*]} (Debian's names)"
    elif [[ $(id -u) == 0 ]]; then
        return 0
    elif command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
        as_root=(sudo)
    else
        no_root="missing: ${missing[*]}; as root, run: apt-get update && ${install[*]}"
    fi
}

# want PACKAGE...: as need, but goes on without them where it may not install them.
want() {
    local missing install as_root no_root
    missing_packages "$@"
    ((${#missing[@]})) || return 0
    install=(apt-get install -y --no-install-recommends "${missing[@]}")
    find_root
    if [[ $no_root ]]; then
        say "$no_root"
    else
        need "${missing[@]}"
    fi
}

# apt's output to its log; of its many lines those to the terminal that show how far it is.
apt_progress() { tee -a "$1" | grep --line-buffered -E '^(Get:[0-9]|Need to get|Setting up)' || true; }

# need PACKAGE...: installs those that are missing; ends the process when it can't.
need() {
    local missing install as_root no_root
    missing_packages "$@"
    ((${#missing[@]})) || return 0
    install=(apt-get install -y --no-install-recommends "${missing[@]}")
    find_root
    [[ -z $no_root ]] || die "$no_root"

    say "installing ${missing[*]}"
    mkdir -p build
    local log=build/setup.log
    : >"$log"
    # The first try spares the download of package lists where they are fresh enough.
    if ! {
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" ||
            { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}"; }
    } 2>&1 </dev/null | apt_progress "$log"; then
        tail -n 30 "$log" >&2
        die "the installation failed (all of its output: $log)"
    fi
}

cmd_setup() {
    (($# <= 1)) || die "setup: one argument at most"
    case ${1:-} in
        '') need "${packages_test[@]}" ;;
        --all) need "${packages_all[@]}" ;;
        *) die "setup: unknown argument: $1" ;;
    esac
    say "everything is installed"
}
