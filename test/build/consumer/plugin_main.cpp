// A program that does not know of weft.
#include "plugin.hpp"

int main()
{
    return sum_by_goroutines(100) == 5050 ? 0 : 1;
}
