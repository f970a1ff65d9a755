// Built with a sanitizer, beside a weft that is not: it has to hear of that.
#include "../support/scenarios.hpp"
#include "weft/weft.hpp"

int main()
{
    return weft::run([] { weft::async([] { weft::test::say("ran"); }).get(); });
}
