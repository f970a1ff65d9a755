// The heavy half of the asymmetric fence (the light half: base::light_fence).
#pragma once

namespace weft::sys {

/// Finds out, once, whether membarrier(2) is there; where it is not (or `forbid`), turns base::light_fence() into a
/// full fence. Must run before the process has a second thread that uses either half.
void init_membarrier(bool forbid) noexcept;

/// Whether heavy_fence() is membarrier(2) (else a plain fence, and the light one is no longer free).
[[nodiscard]] bool has_membarrier() noexcept;

/// On return, every running thread of this process has executed a full memory barrier since the call: what they stored
/// before it is visible here, and their later loads see what we stored before the call. 0.1-0.3 us on two cores; an
/// interrupt to each core that runs one of our threads.
void heavy_fence() noexcept;

}  // namespace weft::sys
