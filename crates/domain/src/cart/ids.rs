//! The ids of carts.

use daybook_kernel::uuid_id;

uuid_id!(
    /// A cart.
    CartId
);
