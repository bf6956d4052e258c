// Prints the best instruction set of this processor that the library has kernels for.
#include "../../ops/loops/isa.cpp"

#include <cstdio>

int main() { std::fputs(tapegrad::detail::name_of(tapegrad::detail::best_isa()), stdout); }
