//! The fake AWS, driven over the wire as an SDK would drive it.
