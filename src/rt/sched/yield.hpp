// Giving others their turn without waiting for anything.
#pragma once

namespace weft::rt {

/// Goes to the back of the queue.
void yield() noexcept;

/// After max_procs() has fallen: returns on a P that is still in use, so what the caller starts next starts there.
void leave_retired_p() noexcept;

}  // namespace weft::rt
