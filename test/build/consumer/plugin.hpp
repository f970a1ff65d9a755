// What a user's shared library offers; weft is not seen in it.
#pragma once

int sum_by_goroutines(int last);
