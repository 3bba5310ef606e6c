//! The claim table of SECURITY.md, tried: what is said to hold is attacked in vain, what is said to
//! show is seen, and what is not claimed is done, so that the table can't drift from the truth.

mod held;
mod not_claimed;
mod relay;
mod shown;
