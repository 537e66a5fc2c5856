//! stub
/// stub
pub fn line(_: &[u8]) {}
