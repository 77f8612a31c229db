//! Who is a member and what counts (A1-A11).
