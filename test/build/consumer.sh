#!/usr/bin/env bash
# consumer.sh <cmake> <build tree> <source tree> <c++ compiler>: installs the build tree, moves the installed copy, and
# builds and runs test/build/consumer against it: by find_package (static, shared, inside a shared library, and with the
# libraries beside the core), by pkg-config (shared, static, a program without any shared library, and the same libraries),
# as a subdirectory of the consumer's own tree and by FetchContent (both configured only).
set -euo pipefail
cmake=$1 build=$2 source=$3 cxx=$4
consumer=$source/test/build/consumer
parts=()

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() { printf '\n== %s\n' "$*"; }

step install
"$cmake" --install "$build" --prefix "$work/staged" >"$work/install.log"
mv "$work/staged" "$work/prefix"
grep -c . "$work/install.log" | sed 's/$/ files/'

step "find_package"
"$cmake" -S "$consumer" -B "$work/package" -G Ninja -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/configure.log" || { cat "$work/configure.log"; exit 1; }
"$cmake" --build "$work/package"
"$work/package/consumer_static"
"$work/package/consumer_shared"
"$work/package/consumer_plugin"
"$work/package/consumer_parts"
"$work/package/consumer_parts_shared"
for part in tls dns debug; do
    if compgen -G "$build/libweft_$part.*" >/dev/null; then
        grep -q "weft::$part is there" "$work/configure.log" || { echo "weft::$part was built and is not exported"; exit 1; }
        parts+=("$part")
    fi
done
if [[ " ${parts[*]} " == *" dns "* ]]; then
    for program in consumer_parts consumer_parts_shared; do
        { nm "$work/package/$program"; readelf --dynamic --wide "$work/package/$program"; } |
            grep -E 'weft_dns_installed|libweft_dns\.so' >/dev/null || { echo "weft::dns was left out of $program"; exit 1; }
    done
fi
grep -q -e -fstack-clash-protection "$work/package/build.ninja" || { echo "no stack probes"; exit 1; }
readelf --dynamic --wide "$work/package/consumer_shared" | grep -q 'libweft\.so' || { echo "not linked to libweft.so"; exit 1; }
! readelf --dynamic --wide "$work/package/consumer_static" | grep -q 'libweft\.so' || { echo "linked to libweft.so"; exit 1; }

step "add_subdirectory"
"$cmake" -S "$consumer" -B "$work/subdirectory" -G Ninja -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=Release \
    -DWEFT_SOURCE_DIR="$source" >"$work/configure.log" || { cat "$work/configure.log"; exit 1; }

step "FetchContent"
"$cmake" -S "$consumer" -B "$work/fetched" -G Ninja -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=Release \
    -DWEFT_SOURCE_DIR="$source" -DWEFT_FETCH=ON >"$work/configure.log" || { cat "$work/configure.log"; exit 1; }

step "pkg-config"
if ! command -v pkg-config >/dev/null; then
    echo "left out: no pkg-config (Debian: pkgconf)"
    exit 0
fi
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name weft.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir weft)
read -ra cflags <<<"$(pkg-config --cflags weft)"
[[ " ${cflags[*]} " == *" -fstack-clash-protection "* ]] || { echo "no stack probes"; exit 1; }
read -ra libs <<<"$(pkg-config --libs weft)"
object=$work/consumer.o program=$work/by_pkg_config
"$cxx" -std=c++20 -O2 "${cflags[@]}" -c "$consumer/main.cpp" -o "$object"
"$cxx" "$object" "${libs[@]}" -o "$program"
LD_LIBRARY_PATH=$libdir "$program"
"$cxx" "$object" -Wl,-Bstatic "${libs[@]}" -Wl,-Bdynamic -o "$program"
"$program"
"$cxx" -static "$object" "${libs[@]}" -o "$program"
"$program"

for part in "${parts[@]}"; do
    step "pkg-config: weft-$part"
    read -ra cflags <<<"$(pkg-config --cflags "weft-$part")"
    read -ra libs <<<"$(pkg-config --libs "weft-$part")"
    "$cxx" -std=c++20 -O2 "-DWITH_${part^^}" "${cflags[@]}" "$consumer/parts.cpp" "${libs[@]}" -o "$program"
    readelf --dynamic --wide "$program" | grep -q "libweft_$part\.so" || { echo "not linked to libweft_$part.so"; exit 1; }
    LD_LIBRARY_PATH=$libdir "$program"
    if [[ $part != debug ]]; then  # which is a shared library always
        read -ra libs <<<"$(pkg-config --libs "weft-$part")"
        mapfile -t private < <(pkg-config --print-requires-private "weft-$part")
        read -ra private <<<"$(pkg-config --libs "${private[@]}")"
        "$cxx" -std=c++20 -O2 "-DWITH_${part^^}" "${cflags[@]}" "$consumer/parts.cpp" -Wl,-Bstatic "${libs[@]}" -Wl,-Bdynamic \
            "${private[@]}" -o "$program"
        "$program"
    fi
done
