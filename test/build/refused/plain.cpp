// Compiled with flags that weft can't work with; test/build/refused.py.
#include <weft/weft.hpp>
