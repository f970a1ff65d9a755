#!/usr/bin/env bash
# shared_library.sh <libweft.so>: the library exports namespace weft (with its type information) and weft_* only, and
# needs nothing but the C and C++ run-time libraries; its tables are not in the file.
set -euo pipefail
library=$1
failed=0

exported=$(nm --dynamic --defined-only --format=posix "$library" | cut -d' ' -f1)
foreign=$(grep -vE '^(_ZNK?4weft|_Z(TV|TT|TI|TS)[A-Z0-9]*N4weft|_ZGVN4weft|weft_)' <<<"$exported" | c++filt || true)
if [[ -n $foreign ]]; then
    echo "exported, though not weft's:"
    echo "$foreign"
    failed=1
fi
if ! grep -q '^_ZN4weft9max_procsEi$' <<<"$exported"; then
    echo "weft::max_procs(int) is not exported"
    failed=1
fi

needed=$(readelf --dynamic --wide "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
extra=$(grep -vE '^(libc|libm|libstdc\+\+|libgcc_s|ld-linux-x86-64|ld-linux-aarch64)\.so\.[0-9]+$' <<<"$needed" || true)
if [[ -n $extra ]]; then
    echo "needed, though neither the C nor the C++ library:"
    echo "$extra"
    failed=1
fi

data=$(size -A "$library" | awk '$1 == ".data" { print $2 }')
if ((data > 65536)); then
    echo "$data bytes of .data: a large object with a value other than zero is carried into the file"
    failed=1
fi

notes=$(readelf --notes --wide "$library")
if grep -q SHSTK <<<"$notes"; then
    echo "marked as fit for shadow stacks, which it is not"
    failed=1
fi

((failed)) || echo "$(wc -l <<<"$exported") exported symbols; needs: ${needed//$'\n'/ }"
exit "$failed"
