//! The layer on real clients, against real servers on loopback.
