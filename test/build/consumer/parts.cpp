// With the libraries beside the core, those that there are. weft::dns and weft::debug put themselves in place by being
// linked; their marks are looked up by name, as a part that the linker has left out has none.
#include <dlfcn.h>

#include <cstdio>
#include <system_error>

#include <weft/weft.hpp>

#ifdef WITH_TLS
#include <weft/tls.hpp>
#endif

int main()
{
    return weft::run(
        []
        {
#ifdef WITH_TLS
            const weft::tls::client client;  // without OpenSSL inside it does not link
#endif
#ifdef WITH_DEBUG
            if (dlsym(RTLD_DEFAULT, "weft_debug_symbolise") == nullptr) {
                std::fputs("weft::debug was left out by the linker\n", stderr);
                return 1;
            }
#endif
            std::error_code ec;
            if (const auto found = weft::net::lookup("127.0.0.1", {}, ec); ec || found.empty()) {
                std::fprintf(stderr, "lookup: %s\n", ec.message().c_str());
                return 1;
            }
            std::puts("ok");
            return 0;
        });
}
